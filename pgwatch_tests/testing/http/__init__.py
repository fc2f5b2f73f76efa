"""HTTP requests of tests: a header says which test sends them, so that a server's sessions bear its name."""
