"""The identity of a test: by the name of its session, by the hash in its values, by lists of tests."""
