"""Contention: blocked time summed over a watch, and its deadlocks. Pure."""
