"""Rollback isolation: what a test and its application commit is undone at the test's end."""
