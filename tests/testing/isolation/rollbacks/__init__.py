"""Rollback isolation."""
