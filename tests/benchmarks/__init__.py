"""Measurements that take too long for the suite, run by hand."""
