"""Rules on the connection that tests use, and on what stands in for it."""
