"""Markers: the patterns by which a value is recognised as test data. Pure."""
