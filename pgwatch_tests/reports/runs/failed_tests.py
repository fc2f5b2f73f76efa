"""Failed and flaky tests of recorded runs, and how long each was blocked meanwhile. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pgwatch_tests.record import sums
from pgwatch_tests.record.merging.merged import ServerReport
from pgwatch_tests.record.run_summary import TestOutcome
from pgwatch_tests.text.numbers import plural


@dataclass(frozen=True, slots=True)
class FailedTest:
    """A test that failed, or passed only after it had failed."""

    outcome: TestOutcome
    blocked_s: float
    """Its sessions' waits; 0 if none was seen."""
    blocker: str
    """Behind whom most of that was; empty if it wasn't blocked."""

    @property
    def words(self) -> str:
        """`failed`, `error`, `flaky: 2 attempts failed`."""
        one = self.outcome
        return (
            one.outcome
            if one.outcome != "passed"
            else f"flaky: {plural(one.failed_attempts, 'attempt')} failed"
        )


def failed_tests(server: ServerReport) -> tuple[FailedTest, ...]:
    """Those that were blocked longest first, then in the order of the reports; skipped ones are none."""
    failed = [one for one in _each(server) if one.outcome in ("failed", "error") or _is_flaky(one)]
    names = {one.test for one in failed}
    blocked: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for wait in server.waits:
        if (test := sums.label(wait.waiter)) in names:
            for root in wait.roots:
                blocked[test][sums.label(root.side)] += root.blocked_s
    found = []
    for one in failed:
        by = blocked[one.test]
        found.append(FailedTest(one, sum(by.values()), max(by, key=by.__getitem__, default="")))
    return tuple(sorted(found, key=lambda one: -one.blocked_s))


def _each(server: ServerReport) -> Iterable[TestOutcome]:
    return (outcome for run in server.runs for outcome in run.outcomes)


def _is_flaky(one: TestOutcome) -> bool:
    return one.outcome == "passed" and one.failed_attempts > 0
