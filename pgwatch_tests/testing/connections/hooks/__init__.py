"""Hooks in drivers and pools, one module each: names of sessions, commits, and connections handed on."""
