"""Reports on locks, contention and actions."""
