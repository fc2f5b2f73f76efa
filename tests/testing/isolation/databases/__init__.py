"""Databases of tests' own."""
