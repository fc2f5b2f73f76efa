"""Orphans: schemas, databases, sessions and prepared transactions whose test is gone."""
