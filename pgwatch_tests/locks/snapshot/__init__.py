"""Snapshots of a server's locks: polled with a deadline; connection usage and deadlock counters."""
