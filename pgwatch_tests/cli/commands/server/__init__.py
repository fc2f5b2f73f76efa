"""Commands on a server as it is now: the dashboard, locks, what a role may do, a demo."""
