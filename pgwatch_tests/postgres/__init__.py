"""A PostgreSQL server: connections, sessions, names, leases, and which databases are for tests."""
