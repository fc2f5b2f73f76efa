"""Findings as text: no input or output, no decisions; the same input gives the same text."""
