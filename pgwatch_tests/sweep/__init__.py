"""Removes what tests left behind, and nothing else: rows, schemas, databases, prepared transactions …."""
