"""Statements of a scan: composed for many tables, run in chunks."""
