"""Checks of a run: its state before, what is left and what was logged after, and the gate."""
