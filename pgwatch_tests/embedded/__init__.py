"""The embedded PostgreSQL server that demo and tests start, gone without a trace when its owner is."""
