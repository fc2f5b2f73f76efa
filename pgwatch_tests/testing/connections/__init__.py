"""The connections of tests: named after the test that uses them, their commits put down to it."""
