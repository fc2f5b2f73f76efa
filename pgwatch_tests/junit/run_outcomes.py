"""Outcomes of a recorded run: how its tests ended, by the JUnit files that its index lists.

The index has their paths as they were where the run was. Results may have been moved since, and another run
may have written its report to the same place.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

from pgwatch_tests.junit.outcomes import outcomes_in
from pgwatch_tests.junit.report_files import ReportFile, read_report_file
from pgwatch_tests.record.merging.merged import RecordedRun
from pgwatch_tests.record.results import ResultsDirectory
from pgwatch_tests.record.run_summary import RunFacts
from pgwatch_tests.record.whole_names import WholeNames, listed_tests

_CLOCK_SLACK = timedelta(seconds=2)
_FOLDERS_ABOVE = 3
"""A run writes into `pgwatch-results` of its directory, or into a shard's folder in it."""


def with_outcomes(run: RecordedRun) -> RecordedRun:
    """Returns the run with how its tests ended; what can't be read is among what wasn't checked."""
    facts = run.facts
    if facts is None or not facts.junit_files:
        return run
    results = ResultsDirectory(Path(run.name))
    reports: list[ReportFile] = []
    missing: list[str] = []
    for name in facts.junit_files:
        found = [read_report_file(path) for path in _places(name, results)]
        of_run = [one for one in found if _is_of(one, facts)]
        if of_run:
            reports.append(of_run[0])
        else:
            why = "is of another run by now" if found else "isn't there any more"
            missing.append(f"{name}, which told how tests ended, {why}.")
    seen = {*listed_tests(results.logs), *(one.test for one in run.tests)}
    read = outcomes_in(reports, seen)
    not_read = (f"{line[:1].upper()}{line[1:]}." for line in read.not_read)
    # A session's name may have no room for a test's id, which its outcome has.
    return replace(
        WholeNames(one.test for one in read.tests).run(run),
        outcomes=read.tests,
        not_checked=tuple(dict.fromkeys((*run.not_checked, *missing, *not_read))),
    )


def _places(name: str, results: ResultsDirectory) -> Iterator[Path]:
    """The files that may be meant: at its place, where the results lie now, and beside them."""
    whole = Path(os.path.realpath(results.path))
    places = [folder / name for folder in (*islice(whole.parents, _FOLDERS_ABOVE), whole)]
    places += [whole / Path(name).name, whole.parent / Path(name).name]
    own = Path(os.path.realpath(results.file("junit")))
    for place in dict.fromkeys(Path(os.path.realpath(one)) for one in places):
        if place != own and os.path.isfile(place):  # noqa: PTH113  # raises nothing
            yield place


def _is_of(report: ReportFile, facts: RunFacts) -> bool:
    """Whether a report can be that of the run: by when its suites began, else by when it was written.

    A file that was brought from another machine is as new as that.
    """
    began, ended = facts.began - _CLOCK_SLACK, facts.ended and facts.ended + _CLOCK_SLACK
    if report.first_began is not None and report.last_began is not None:
        return report.last_began >= began and (ended is None or report.first_began <= ended)
    if report.modified is None or report.modified < began:
        return False
    return ended is None or report.modified <= ended or facts.machine != platform.node()
