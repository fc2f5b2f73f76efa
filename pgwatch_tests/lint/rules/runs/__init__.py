"""Rules on how tests run: pauses, order, races, names."""
