"""What works with this role on this server, and what would make the rest work."""
