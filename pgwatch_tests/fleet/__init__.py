"""Fleets: several servers at once, chosen by name, shared out among shards and among workers."""
