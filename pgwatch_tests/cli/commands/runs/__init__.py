"""Commands on runs of suites: to run and record them, to look at recordings, and at all runs together."""
