"""Isolation: schemas and databases of a test's own, made by the suite's migrations."""
