"""Talking to a PostgreSQL server: connection strings, connections, versions, session names."""
