"""Verdicts: which rows a test, or a fixture, leaves behind in a database that it may share."""
