"""The plan of a row sweep: which rows go, which stay, and why."""
