"""Leak indexes: partial indexes that make a count as cheap as the leak is small."""
