"""For authors of tests: what keeps their data apart, and alive while they run."""
