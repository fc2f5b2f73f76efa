"""The verdict: one sentence about the whole server, and what to look at."""
