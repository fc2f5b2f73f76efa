"""The linter: patterns in tests that break in parallel on a shared database. Reads source, runs nothing."""
