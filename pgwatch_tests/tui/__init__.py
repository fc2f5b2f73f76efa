"""The dashboard: shows what frozen snapshots say, and never waits for a server itself."""
