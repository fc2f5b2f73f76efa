"""Tests of schemas and databases of a test's own."""
