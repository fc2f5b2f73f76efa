"""Tests of the header that puts requests down to tests."""
