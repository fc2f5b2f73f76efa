"""Reports on sweeps and their history."""
