"""Completion in shells: what an option or argument may be, and the scripts that ask for it."""
