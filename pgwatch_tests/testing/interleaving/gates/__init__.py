"""Gates in drivers: where a round trip of an actor stops before it is sent."""
