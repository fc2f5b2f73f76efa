"""Snapshots of a server's locks: polled, with a deadline, and what else a poll reads."""
