"""Reports on leaks and their indexes."""
