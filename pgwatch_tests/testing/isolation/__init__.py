"""Isolation of tests from each other: what is a test's own, or comes to nothing."""
