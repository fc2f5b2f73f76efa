"""Baselines: the state of a database before a suite, and what has changed since."""
