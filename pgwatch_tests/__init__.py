"""Database hygiene and lock diagnostics for parallel test suites on a real PostgreSQL."""

__version__ = "0.9.0"
