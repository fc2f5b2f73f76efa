"""Recordings of lock snapshots, leak and sweep reports, to be shown again."""
