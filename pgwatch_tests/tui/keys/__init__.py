"""Keys of the dashboard: what each does, how commands are found, what a user prefers."""
