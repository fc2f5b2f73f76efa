"""Waited-for objects of waits, derived from lock rows and statements. Pure."""
