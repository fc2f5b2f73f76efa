"""Runs of the longer commands: sweeps, watches, schedules and actions, with their progress and signals."""
