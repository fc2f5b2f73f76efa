"""Runs sweeps, and checks for leaks, by the clock."""
