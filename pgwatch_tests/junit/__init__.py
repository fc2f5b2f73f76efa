"""JUnit reports that runners wrote: outcomes of tests. No database."""
