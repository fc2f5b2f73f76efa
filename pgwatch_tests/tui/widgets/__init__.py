"""Widgets of the dashboard: the live table, the filter line, the status line and its banner."""
