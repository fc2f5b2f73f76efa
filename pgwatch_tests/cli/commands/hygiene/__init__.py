"""Commands on leftovers of tests: leaks, what was there before them, sweeps, and both by the clock."""
