"""Tables to look at, as the catalogs describe them, and those that can't be read."""
