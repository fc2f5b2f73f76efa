"""Markers: how a value is recognised as test data. Pure."""
