"""Runs of suites on record: who blocked whom, what they left, which tests failed; and trends over them."""
