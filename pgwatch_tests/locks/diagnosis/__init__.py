"""Diagnosis: why a root blocker blocks, and what to do. Pure."""
