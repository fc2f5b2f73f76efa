"""`interleave` for any driver, language or process: gates in a proxy between clients and the server."""
