"""Rules on what tests write, count and remove."""
