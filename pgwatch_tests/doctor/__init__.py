"""The doctor: which features work with this role on this server, and what would make the rest work."""
