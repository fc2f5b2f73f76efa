"""Catalogs: the tables to read, and those that can't be read."""
