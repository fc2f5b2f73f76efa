"""Finds the rows that tests left behind."""
