"""Runs on record as metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

from pgwatch_tests.history.runs.model import StoredRun
from pgwatch_tests.reports.openmetrics.families import Family, gauge, gauge_of, seconds_since_epoch, text

_RESULTS = ("passed", "failed", "unfinished")


def document(runs: Sequence[StoredRun], since: datetime, now: datetime) -> str:
    """Sums over the runs that began since then, per repository: no label names a branch, a test or a run.

    They are gauges, since runs leave the window again. A wait on a server that several runs watched is in the
    sum of each.
    """
    by_repository: defaultdict[str, list[StoredRun]] = defaultdict(list)
    for run in runs:
        by_repository[run.repository].append(run)

    places = [({"repository": repository}, some) for repository, some in by_repository.items()]

    def sums(name: str, help: str, value: Callable[[StoredRun], float]) -> Family:
        return gauge_of(name, help, places, lambda some: sum(map(value, some)))

    return text(
        (
            gauge(
                "history_runs",
                "Runs on record, by their result; unfinished ones run, or were killed.",
                (
                    ({**place, "result": result}, sum(_result(run) == result for run in some))
                    for place, some in places
                    for result in _RESULTS
                ),
            ),
            sums("history_failed_tests", "Tests that failed in these runs.", lambda run: run.failed or 0),
            sums(
                "history_flaky_tests", "Tests that passed only when tried again.", lambda run: run.flaky or 0
            ),
            sums("history_waits", "Waits for locks in these runs.", lambda run: run.waits),
            sums("history_blocked_seconds", "How long sessions were blocked.", lambda run: run.blocked_s),
            sums("history_watched_seconds", "How long servers were watched.", lambda run: run.watched_s),
            sums("history_deadlocks", "Deadlocks in these runs.", lambda run: run.deadlocks),
            sums("history_hangs", "Hangs that were told in these runs.", lambda run: run.hangs),
            sums("history_leaked_rows", "Rows that these runs left.", lambda run: run.leaked_rows),
            sums("history_leftovers", "What these runs left besides rows.", lambda run: run.leftovers),
            gauge_of(
                "history_last_run_timestamp_seconds",
                "When the newest run began, since 1970.",
                places,
                lambda some: max(seconds_since_epoch(run.began) for run in some),
            ),
            gauge(
                "history_window_seconds",
                "How far back the runs go that are summed up.",
                (({}, round((now - since).total_seconds())),),
            ),
        )
    )


def _result(run: StoredRun) -> str:
    if run.ended is None or run.exit_code is None:
        return "unfinished"
    return "failed" if run.exit_code else "passed"
