"""Tabs of the dashboard: locks, sessions, leaks, contention and sweeps, with the state of each."""
