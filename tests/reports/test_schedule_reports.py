from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from pgwatch_tests.history.model import HistoryEntry, JobState
from pgwatch_tests.reports.schedule_jobs import document, table
from pgwatch_tests.reports.sweeps.sweep_history import result_line
from tests.history.histories import entry

NEXT = datetime(2026, 11, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
SWEPT = replace(entry(12), kept_rows=3, orphans_removed=1)
JOB = JobState(
    name="nightly",
    action="sweep",
    when="30 2 * * * (Europe/Berlin)",
    dry_run=False,
    enabled=True,
    paused=False,
    running=False,
    next_run=NEXT,
    last=SWEPT,
)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (SWEPT, "done: 12 rows deleted, 3 kept, 1 other leftover removed (0.2 s)"),
        (entry(1), "done: 1 row deleted (0.2 s)"),
        (
            replace(SWEPT, dry_run=True, planned_rows=20, deleted_rows=0),
            "done: 20 rows to delete, 3 kept, 1 other leftover to remove (0.2 s)",
        ),
        (replace(entry(5), result="interrupted"), "interrupted: 5 rows deleted (0.2 s)"),
        (replace(entry(), result="refused", reason="no \x1b test"), "refused: no ␛ test"),
        (replace(entry(), result="skipped", reason="pid 3 is at it"), "skipped: pid 3 is at it"),
        (replace(entry(), result="failed", reason="lost"), "failed: lost"),
        (
            replace(entry(), action="leaks", leaked_rows=1, leftovers=2, reason="one\ntable wasn't checked"),
            "done: 1 leaked row, 2 other leftovers (0.2 s); one␊table wasn't checked",
        ),
    ],
)
def test_what_it_came_to(one: HistoryEntry, words: str) -> None:
    assert result_line(one) == words


def test_the_table() -> None:
    jobs = [
        JOB,
        replace(JOB, name="a\x1bb", action="schemas", dry_run=True, last=None, next_run=None),
        replace(JOB, enabled=False),
        replace(JOB, paused=True),
        replace(JOB, running=True),
    ]
    lines = table(jobs).splitlines()
    assert "2026-11-25 02:30:00 CET" in lines[2]
    assert "2026-11-01 02:42:00" in lines[2]
    assert "12 rows deleted" in lines[2]
    assert "a␛b" in lines[3]
    assert "schemas (dry run)" in lines[3]
    assert "never" in lines[3]
    assert "once it is running" in lines[3]
    for word, line in zip(("disabled", "paused", "running"), lines[4:], strict=True):
        assert f"  {word}  " in line
    assert "no jobs" in table([])


def test_the_document() -> None:
    text = document([JOB, replace(JOB, name="é", next_run=None, last=None)])
    assert text.isascii()
    first, second = json.loads(text)["jobs"]
    assert json.loads(text)["schema"] == "pgwatch-tests.schedule/1"
    assert first["next_run"] == "2026-11-25T01:30:00.000Z"
    assert first["last"]["started_at"] == "2026-11-01T02:42:00.123Z"
    assert (first["last"]["deleted"], first["last"]["duration_s"]) == (12, 0.25)
    assert (second["name"], second["next_run"], second["last"]) == ("é", None, None)
