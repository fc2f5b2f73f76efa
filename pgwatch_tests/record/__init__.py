"""Snapshots kept: what was seen, to be shown again."""
