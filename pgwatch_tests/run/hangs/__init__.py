"""Hangs of a run: seen, told, and ended where the root is the run's own."""
