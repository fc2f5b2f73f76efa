"""The history: sweeps and jobs on record, in SQLite or PostgreSQL."""
