"""The schedule: sweeps and leak counts that run by the clock."""
