"""Leak checks: count the rows that tests left behind, find other leftovers, change nothing."""
