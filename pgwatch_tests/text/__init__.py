"""Words for people: plain text, numbers, durations, times, names in SQL, and masked secrets."""
