"""Contention: what the waits of a whole watch add up to. Pure."""
