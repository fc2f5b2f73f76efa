"""Lock reports in each format that other programs read."""
