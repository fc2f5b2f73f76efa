"""Statements of a leak scan: composed for many tables, run in chunks."""
