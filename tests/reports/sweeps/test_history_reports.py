"""The history of sweeps, for people and for programs."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.reports.sweeps import sweep_history
from pgwatch_tests.reports.sweeps.sweep_history import result_words
from tests.reports.sweeps.test_sweep_formats import HOSTILE
from tests.sweep.reports import AT

ENTRY = HistoryEntry(
    started_at=AT,
    action="sweep",
    trigger="command line",
    job="",
    account="ci@runner",
    pid=4711,
    role="app",
    server="localhost:5432",
    database="test_app",
    dry_run=False,
    kinds=("rows", "schemas"),
    markers=("test email",),
    min_age_s=600.0,
    result="done",
    planned_rows=1200,
    deleted_rows=1200,
    passes=1,
    duration_s=12.0,
    longest_transaction_s=0.1,
    id=7,
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "1,200 rows deleted"),
        ({"kept_rows": 3, "orphans_removed": 1}, "1,200 rows deleted, 3 kept, 1 other leftover removed"),
        ({"dry_run": True, "planned_rows": 1}, "1 row to delete"),
        ({"result": "refused", "reason": "a standby"}, "refused: a standby"),
        ({"result": "skipped", "reason": "pid 7 is at it"}, "skipped: pid 7 is at it"),
        ({"result": "interrupted"}, "interrupted; 1,200 rows deleted"),
        ({"result": "failed", "reason": "lost", "planned_rows": 0, "deleted_rows": 0}, "failed: lost"),
        ({"action": "leaks", "leaked_rows": 1}, "1 leaked row, 0 other leftovers"),
        ({"action": "leaks", "leaked_rows": 0, "leftovers": 2}, "0 leaked rows, 2 other leftovers"),
    ],
)
def test_what_came_of_it(changes: dict[str, object], words: str) -> None:
    assert result_words(replace(ENTRY, **changes)) == words  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "sweep"),
        ({"dry_run": True, "job": "nightly"}, "sweep, dry run (job nightly)"),
        ({"kinds": ("rows",), "part": "public.users"}, "sweep of public.users only"),
        ({"kinds": ("schemas",), "part": "x\x1b", "dry_run": True}, "sweep of x␛ only, dry run"),
    ],
)
def test_what_it_was(changes: dict[str, object], words: str) -> None:
    assert sweep_history.action(replace(ENTRY, **changes)) == words  # type: ignore[arg-type]


def test_a_program_learns_which_part_it_was_of() -> None:
    one = replace(ENTRY, kinds=("rows",), part="public.users")
    whole, part = (sweep_history.entry_fields(entry)["part"] for entry in (ENTRY, one))
    assert whole is None
    assert part == {"kind": "rows", "name": "public.users"}


def test_the_table() -> None:
    job = replace(ENTRY, job="nightly", trigger="schedule", dry_run=True)

    text = sweep_history.table((ENTRY, job), "/home/ci/history.sqlite3")

    first, second = text.splitlines()[2:4]
    assert re.split(r"\s{2,}", first) == [
        *("2026-01-02 03:04:05", "test_app", "localhost:5432", "sweep", "ci@runner (command line)"),
        *("1,200 rows deleted", "12 s"),
    ]
    assert "sweep, dry run (job nightly)" in second
    assert text.endswith("\n\nThe history is in /home/ci/history.sqlite3")
    assert sweep_history.table((), "x") == "No sweep has been recorded yet.\nThe history is in x"


def test_the_document() -> None:
    found = json.loads(sweep_history.document((ENTRY,), "h"))

    assert found == {
        "schema": "pgwatch-tests.sweep-history/1",
        "history": "h",
        "sweeps": [
            {
                "id": 7,
                "started_at": "2026-01-02T03:04:05.000Z",
                "action": "sweep",
                "trigger": "command line",
                "job": None,
                "account": "ci@runner",
                "pid": 4711,
                "role": "app",
                "server": "localhost:5432",
                "database": "test_app",
                "dry_run": False,
                "kinds": ["rows", "schemas"],
                "part": None,
                "markers": ["test email"],
                "min_age_s": 600.0,
                "result": "done",
                "reason": None,
                "planned": 1200,
                "deleted": 1200,
                "kept": 0,
                "orphans_removed": 0,
                "leaked": None,
                "leftovers": None,
                "passes": 1,
                "duration_s": 12.0,
                "longest_transaction_s": 0.1,
            }
        ],
    }


def test_hostile_text_is_harmless() -> None:
    entry = replace(
        ENTRY,
        **dict.fromkeys(("job", "account", "role", "server", "database", "reason"), HOSTILE),  # type: ignore[arg-type]
        result="failed",
    )

    for document in (sweep_history.table((entry,), HOSTILE), sweep_history.document((entry,), HOSTILE)):
        assert not set(document) & set("\x00\x1b\r\u202e\udcff\ufffe")
    # A header, a rule, the entry, and where it is kept.
    assert len(sweep_history.table((entry,), HOSTILE).splitlines()) == 5
