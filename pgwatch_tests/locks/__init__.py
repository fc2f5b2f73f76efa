"""Who waits for whom, on what: exact, in one round trip, and never in the way."""
