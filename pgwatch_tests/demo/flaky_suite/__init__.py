"""A test suite with the faults that parallel suites have: processes whose tests really block each other.

`python -m pgwatch_tests.demo.flaky_suite` is the conductor: it lets its workers play scenarios, again
and again in random order, until its standard input ends.
"""
