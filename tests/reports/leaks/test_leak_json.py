from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.leaks.model import Ignored, LeakReport, Skipped, TableLeak
from pgwatch_tests.reports.leaks.leak_json import document

CHECKED_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def test_the_document_is_the_one_that_was_promised() -> None:
    leak = TableLeak(
        "public",
        "users",
        "table",
        ("email", "name"),
        7,
        datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        CHECKED_AT,
        ("a…@test.example.com",),
    )
    skipped = Skipped("public", "secret", "no SELECT privilege", "GRANT …")
    report = LeakReport(
        CHECKED_AT, "18.4", "app_test", ("test email", "test id"), 3, (leak,), (skipped,), 0.25
    )

    assert json.loads(document(report)) == {
        "schema": "pgwatch-tests.leaks/1",
        "checked_at": "2026-01-02T03:04:05.678Z",
        "server_version": "18.4",
        "database": "app_test",
        "markers": ["test email", "test id"],
        "mode": "marked",
        "baseline": None,
        "checked": ["rows"],
        "total": 7,
        "complete": False,
        "tables": [
            {
                "schema": "public",
                "table": "users",
                "columns": ["email", "name"],
                "rows": 7,
                "marked": None,
                "changed": None,
                "oldest": "2026-01-01T00:00:00.000Z",
                "newest": "2026-01-02T03:04:05.678Z",
                "samples": ["a…@test.example.com"],
                "attribution": [],
            }
        ],
        "skipped": [
            {"schema": "public", "table": "secret", "reason": "no SELECT privilege", "hint": "GRANT …"}
        ],
        "leftovers": [],
        "unchecked": [],
        "unread": [],
        "gave_way": {"times": 0, "away_s": 0.0, "in_the_way_s": 0.0},
        "live_runs": [],
        "ignored": [],
        "accepted": None,
        "without_strings": [],
    }


def test_what_is_ignored_is_named_with_its_reason() -> None:
    ignored = (Ignored("audit", "kept for a year", 3), Ignored("pubic", ""))
    report = LeakReport(CHECKED_AT, "18.4", "x", ("m",), 0, (), (), 0.0, ignored=ignored)

    found = json.loads(document(report))

    assert found["ignored"] == [
        {"what": "audit", "reason": "kept for a year", "tables": 3},
        {"what": "pubic", "reason": "", "tables": 0},
    ]
    assert found["complete"]


def test_nothing_found() -> None:
    found = json.loads(document(LeakReport(CHECKED_AT, "18.4", "x", ("m",), 0, (), (), 0.0)))

    assert (found["total"], found["complete"], found["tables"], found["skipped"]) == (0, True, [], [])


@settings(deadline=None)
@given(st.text(st.characters()))
def test_any_text_survives(text: str) -> None:
    leak = TableLeak(text, text, "table", (text,), 1, samples=(text,))
    report = LeakReport(CHECKED_AT, text, text, (text,), 1, (leak,), (Skipped(text, text, text, text),), 0.0)

    written = document(report)

    assert written.isascii()
    found = json.loads(written)
    assert found["tables"][0]["columns"] == [text]
    assert found["skipped"][0] == {"schema": text, "table": text, "reason": text, "hint": text}
