"""What reports say of a comparison with a baseline."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from pgwatch_tests.leaks.model import BaselineUse, LeakReport, TableLeak
from pgwatch_tests.reports.leaks.leak_json import document
from pgwatch_tests.reports.leaks.leak_table import table

TAKEN_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SINCE = BaselineUse(
    TAKEN_AT,
    "statistics",
    "all sessions have published their statistics",
    1998,
    None,
    ("public.gone", "x.\x1b[31m"),
    ("n",),
)


def report(baseline: BaselineUse, any_rows: bool = True) -> LeakReport:
    leak = TableLeak("public", "users", "table", (), 2, samples=("id=1", "id=\x1b[2J"))
    return LeakReport(
        TAKEN_AT,
        "18.4",
        "app_test",
        () if any_rows else ("test email",),
        2000,
        (leak,),
        (),
        0.25,
        "any" if any_rows else "marked",
        baseline,
    )


def test_any_row_by_statistics() -> None:
    text = table(report(SINCE))

    assert (
        "\n\n2 new or changed rows in 1 table\n"
        "Which test left 2 new or changed rows isn't known: pytest --pgwatch=warn tells it (in "
        "autocommit: without -n); or put the test's hash into values, and pass --tests (docs/test-ids.md)\n"
        "Checked 2,000 tables of app_test (PostgreSQL 18.4) for: any row\n"
        "Deleted rows can't be seen: take the baseline with --content\n"
        "Compared with the baseline of 2026-01-02 03:04:05 UTC: "
        "1,998 tables untouched by the server's statistics\n"
        "Dropped since: public.gone, x.␛[31m\n"
    ) in text
    assert "\x1b" not in text


def test_what_else_is_gone_and_that_deleted_rows_were_looked_for() -> None:
    found = report(replace(SINCE, gone=("view public.v\x1b",)))

    assert "\nDropped since: public.gone, x.␛[31m, view public.v␛\n" in table(found)
    assert json.loads(document(found))["baseline"]["objects_dropped"] == ["view public.v\x1b"]
    text = table(replace(found, kinds_checked=("lost_rows",)))
    assert "\nNew, changed and deleted rows were looked for\n" in text
    assert "can't be seen" not in text


def test_marked_rows_by_a_look_at_each_table() -> None:
    text = table(report(BaselineUse(TAKEN_AT, "snapshot", "session 7 is idle\x1b", 0, 3), any_rows=False))

    assert "2 leaked rows in 1 table" in text
    assert (
        "\nCompared with the baseline of 2026-01-02 03:04:05 UTC: "
        "every table looked at, since session 7 is idle␛\n"
        "3 marked rows were there before\n"
    ) in text


def test_the_document() -> None:
    found = json.loads(document(report(SINCE)))

    assert found["mode"] == "any"
    assert found["baseline"] == {
        "taken_at": "2026-01-02T03:04:05.000Z",
        "way": "statistics",
        "detail": "all sessions have published their statistics",
        "tables_untouched": 1998,
        "marked_rows_before": None,
        "tables_dropped": ["public.gone", "x.\x1b[31m"],
        "objects_dropped": [],
        "notes": ["n"],
    }
