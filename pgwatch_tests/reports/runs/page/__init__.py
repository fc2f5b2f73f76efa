"""A report on recorded runs as one page for a browser, with all that it needs in it."""
