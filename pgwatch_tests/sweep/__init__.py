"""Removes what tests left behind and nothing else: rows in foreign-key order, schemas, databases, sessions."""
