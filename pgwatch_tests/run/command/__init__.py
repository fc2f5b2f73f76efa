"""The command of a run: its environment, its process, and the signals that it gets."""
