"""A recorded run in short: what the history keeps of it. Pure."""

from __future__ import annotations

from typing import Final

from pgwatch_tests.record import sums
from pgwatch_tests.record.merging.merged import RecordedRun
from pgwatch_tests.record.run_summary import Outcome, RunFacts, RunSummary, TestOutcome
from pgwatch_tests.record.whole_names import WholeNames

_MOST_DEADLOCKS: Final = 300
_MOST_LEAKS: Final = 2_000
_MOST_OUTCOMES: Final = 5_000
_RANKS: Final[dict[Outcome, int]] = {"error": 0, "failed": 1, "passed": 3, "skipped": 4}
_FLAKY: Final = 2


def summary_of(run: RecordedRun, facts: RunFacts) -> RunSummary:
    """Returns the summary of a run. Tests that sessions name by a hash get the ids of its outcomes.

    What it keeps is bounded: the last deadlocks, the largest leaks, failed and flaky tests first.
    """
    whole = WholeNames(one.test for one in run.outcomes)
    waits = [whole.wait(one) for one in run.waits]
    most_blocked = 0
    if waits and run.began is not None and run.until is not None:
        (most_blocked,) = sums.blocked_over_time(waits, run.began, run.until, 1)
    return RunSummary(
        facts=facts,
        servers=run.servers,
        watched_s=run.watched_s,
        unwatched_s=run.unwatched_s,
        blocked_s=sum(one.waited_s for one in waits),
        waits=len(waits),
        most_blocked=most_blocked,
        pairs=sums.pairs(waits),
        objects=sums.objects(waits),
        causes=sums.causes(waits),
        deadlocks=tuple(map(whole.deadlock, run.deadlocks[-_MOST_DEADLOCKS:])),
        leaks=tuple(sorted(run.leaks, key=lambda leak: -leak.rows)[:_MOST_LEAKS]),
        tests_seen=len({(seen.runner, seen.test) for seen in run.tests}),
        outcomes=tuple(sorted(run.outcomes, key=_rank)[:_MOST_OUTCOMES]),
        hangs=run.hangs,
        not_checked=run.not_checked,
    )


def _rank(one: TestOutcome) -> int:
    is_flaky = one.outcome == "passed" and one.failed_attempts > 0
    return _FLAKY if is_flaky else _RANKS[one.outcome]
