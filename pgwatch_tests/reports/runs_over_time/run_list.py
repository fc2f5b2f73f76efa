"""The runs on record: as text or Markdown, a line each, and as a JSON document."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from pgwatch_tests.history.runs.model import StoredRun
from pgwatch_tests.reports.render.text_or_markdown import TableFormat, foreign, grid
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.times import iso_time, utc_time

COMMIT_WIDTH = 12

_HEADERS = ("Began (UTC)", "Result", "Took", "Tests", "Blocked", "Left", "Commit", "Branch", "Run")


def text(runs: Sequence[StoredRun], place: str, form: TableFormat = "table") -> str:
    """The runs as they come, a line each, and where they are kept."""
    name = partial(foreign, form=form)
    where = f"The history is in {name(place)}"
    if not runs:
        return f"No run is on record yet.\n\n{where}\n"
    several = len({run.repository for run in runs}) > 1
    rows = [
        (
            utc_time(run.began),
            result(run),
            "" if run.ended is None else durations.short((run.ended - run.began).total_seconds()),
            tests(run),
            _blocked(run),
            _left(run),
            name(run.commit[:COMMIT_WIDTH]),
            name(f"{run.repository} {run.branch}" if several else run.branch),
            name(label(run)),
        )
        for run in runs
    ]
    return f"{grid(_HEADERS, 'llrlrlrll', rows, form)}\n\n{where}\n"


def result(run: StoredRun) -> str:
    """How it ended: `passed`, `exit 1`, `killed by SIGKILL`, `no end known`; with hangs and deadlocks."""
    if run.signal is not None:
        try:
            end = f"ended by {signal.Signals(run.signal).name}"
        except ValueError:
            end = f"ended by signal {run.signal}"
    elif run.exit_code is None:
        end = "no end known"
    else:
        end = f"exit {run.exit_code}" if run.exit_code else "passed"
    more = [
        plural(number, noun) for number, noun in ((run.hangs, "hang"), (run.deadlocks, "deadlock")) if number
    ]
    return ", ".join([end, *more])


def tests(run: StoredRun) -> str:
    """`380 passed, 2 failed, 1 flaky`; empty if the run had no JUnit report."""
    if run.passed is None:
        return ""
    numbers = ((run.passed, "passed"), (run.failed, "failed"), (run.flaky, "flaky"), (run.skipped, "skipped"))
    return ", ".join(f"{number:,} {word}" for number, word in numbers if number) or "none"


def label(run: StoredRun) -> str:
    """`1a2b3c4d`, `1a2b3c4d 2/4, attempt 2`: which run, shard and attempt."""
    attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
    return f"{run.run}{' ' if run.shard else ''}{run.shard}{attempt}"


def _blocked(run: StoredRun) -> str:
    if not run.watched_s:
        return "not watched"
    return durations.short(run.blocked_s) if run.waits else "nothing"


def _left(run: StoredRun) -> str:
    parts = [plural(run.leaked_rows, "row")] if run.leaked_rows else []
    if run.leftovers:
        parts.append(plural(run.leftovers, "leftover"))
    return ", ".join(parts)


def document(runs: Sequence[StoredRun], place: str) -> str:
    """The runs as they come. ASCII only."""
    return json.dumps(
        {
            "schema": "pgwatch-tests.history/1",
            "history": place,
            "runs": [
                asdict(run)
                | {"began": iso_time(run.began), "ended": None if run.ended is None else iso_time(run.ended)}
                for run in runs
            ],
        },
        indent=2,
    )
