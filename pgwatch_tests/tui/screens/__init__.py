"""Screens over the dashboard: confirmations, the detail of a session, help, the minimum age."""
