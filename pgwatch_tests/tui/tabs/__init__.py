"""Tabs of the dashboard, and what each of them shows."""
