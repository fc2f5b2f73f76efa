"""The database of a run: whose it is, a copy of its own, and whether its schema is the suite's."""
