"""Databases of tests' own: copies of a template, emptied after each test, or made ahead."""
