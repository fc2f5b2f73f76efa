"""Blocked time of tests: which waited for which, what each held when one failed, and what it had read."""
