"""The flaky suite: processes whose tests really block each other and leak rows, as parallel suites do.

`python -m pgwatch_tests.demo.flaky_suite` is the conductor: it lets its workers play scenarios, again
and again in random order, until its standard input ends.
"""
