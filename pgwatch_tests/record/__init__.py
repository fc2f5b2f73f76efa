"""Recordings of a server: what polls saw while a suite ran, kept in one file that outlives a crash."""
