"""A watch over a test run: a process that polls the lock graph, and the journal that it leaves."""
