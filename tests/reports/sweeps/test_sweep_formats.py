"""Sweeps in every form: what they say, valid whatever the text in them is, nothing out of its place."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pgwatch_tests.cli.formats import SWEEPS, Format, render_sweep
from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak
from pgwatch_tests.reports.sweeps import sweep_csv, sweep_json, sweep_lines, sweep_markdown, sweep_table
from pgwatch_tests.reports.sweeps.sweep_words import explained, outcome, summary
from pgwatch_tests.sweep.model import (
    ChangedRows,
    Kept,
    KeptReason,
    NotSwept,
    Orphan,
    SideEffects,
    SweepReport,
    TableRows,
)
from tests.sweep.reports import ACTED, FULL, KEPT, NOTHING, ORPHANS, several

HOSTILE = (
    "=1+1 | `a` ``` <img src=x onerror=alert(1)> [x](http://evil.example) www.evil.example a@evil.example "
    "::error::x %0A, \\| \x1b[31m \x00 \n::warning::y\r\n```\n## h \u202e \udcff \ufffe ]]> &amp;"
)
NONE_UNMARKED = {"unmarked": 0, "of": None}


def of_text(text: str, dry_run: bool = True) -> SweepReport:
    """A report that says `text` wherever it can."""
    rows = (TableRows(text, text, 3, 4, 2, 9),)
    return replace(
        NOTHING,
        server_version=text,
        database=text,
        dry_run=dry_run,
        markers=(text,),
        planned=rows,
        deleted=() if dry_run else rows,
        kept=(Kept(text, text, 7, "refused", text),),
        orphans=(
            Orphan("schemas", text, True, detail=text, age_s=1.0),
            Orphan("prepared", text, False, "in_use", text),
        ),
        not_checked=(text,),
        error=text,
        changed=(ChangedRows(text, text, (text, text), "not_enforced", 2),),
        side_effects=(SideEffects(text, text, 1, 2, 3),),
        left_by=(TestLeak(text, "transaction", 2, ((text, 2),)), TestLeak("", "unknown", 1, (), (), text)),
    )


def rows_of(document: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(document)))


def html(markdown: str) -> str:
    return str(MarkdownIt("gfm-like").render(markdown))


texts = st.text(alphabet=st.sampled_from("ab `|\\<>&[]()*_~:,%=+-@\n\r\t\0\x1b\u202e\ud800\uffff#.!;'\"ä界"))


@settings(deadline=None)
@given(texts | st.text(), st.booleans())
def test_every_form_is_valid_whatever_the_text_is(text: str, dry_run: bool) -> None:
    one = of_text(text, dry_run)
    both = several(one, one, not_swept=(NotSwept(text, text),))

    lines = 7 + bool(text)  # who gives no reason didn't end early
    assert [len(line) for line in csv.reader(io.StringIO(sweep_csv.document(one)))] == [15] * (lines + 1)
    assert [len(line) for line in csv.reader(io.StringIO(sweep_csv.document(both)))] == [15] * (2 * lines + 2)
    for sweeps in (one, both):
        page = html(render_sweep("markdown", sweeps))
        assert set(re.findall(r"<(\w+)", page)) <= {
            *(
                "h2",
                "h3",
                "h4",
                "p",
                "code",
                "table",
                "thead",
                "tbody",
                "tr",
                "th",
                "td",
                "strong",
                "ul",
                "li",
                "details",
                "summary",
            )
        }
        assert page.count("<table>") == (3 if sweeps is one else 10)
        for form in SWEEPS:
            document = render_sweep(form, sweeps)
            assert not set(document) & set("\x00\x1b\r\u202e\ufffe")
            document.encode()
    assert json.loads(render_sweep("json", one))["planned"]["tables"][0]["table"] == text


@pytest.mark.parametrize("form", SWEEPS)
def test_hostile_text_is_harmless_in_every_form(form: Format) -> None:
    one = of_text(HOSTILE)
    for sweeps in (one, several(one, not_swept=(NotSwept(HOSTILE, HOSTILE),))):
        document = render_sweep(form, sweeps)
        assert not set(document) & set("\x00\x1b\r\u202e\udcff\ufffe")
        assert not any(line.startswith(("::warning::y", "## h")) for line in document.splitlines())


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", " =1", "＝1", "\r\n-1"])
def test_a_spreadsheet_runs_no_cell(text: str) -> None:
    for line in rows_of(sweep_csv.document(of_text(text))):
        for column, value in line.items():
            assert not value.lstrip().startswith(tuple("=+-@＝")), (column, value)


@pytest.mark.parametrize("reason", get_args(KeptReason))
def test_each_reason_has_its_own_words_and_a_hint(reason: KeptReason) -> None:
    others = [explained(other).words for other in get_args(KeptReason) if other != reason]

    assert explained(reason).words not in others
    assert "_" not in explained(reason).words
    text = sweep_table.table(replace(NOTHING, kept=(Kept("public", "users", 1, reason),)))
    assert explained(reason).hint in " ".join(text.split())


def test_what_it_comes_to() -> None:
    assert summary(FULL) == (
        "1,204 rows of 2 tables, 1 schema, 1 prepared transaction to remove; "
        "5 kept: too young (3), locked (1), of a run still alive (1)"
    )
    assert outcome(FULL).endswith("; nothing was changed: add --yes")
    assert summary(ACTED).startswith("3 rows of 1 table, 1 schema, 1 prepared transaction removed; 5 kept:")
    assert outcome(ACTED) == summary(ACTED)
    assert outcome(NOTHING) == "nothing to remove; nothing was changed"
    young = replace(NOTHING, kept=(Kept("public", "users", 3, "too_young"),))
    assert outcome(young) == "nothing to remove yet; 3 kept: too young (3); nothing was changed"
    assert summary(replace(NOTHING, dry_run=False)) == "nothing removed"
    one = replace(NOTHING, planned=(TableRows("public", "users", 1, 0),), not_checked=("a", "b"))
    assert summary(one) == "1 row of 1 table to remove; 2 not checked"
    assert summary(replace(one, interrupted=True)).endswith("; interrupted before it was done")


def test_the_last_line_names_what_no_sweep_removes() -> None:
    last = "Not swept: idle transactions, advisory locks …; `pgwatch-tests leaks` shows them"

    assert sweep_table.table(NOTHING).split("\n")[-1] == last
    assert sweep_markdown.document(NOTHING).rstrip("\n").endswith(f"{last}.")
    assert sweep_lines.lines(NOTHING)[-1] == last
    assert last in sweep_table.table(several(NOTHING, FULL))
    ending = replace(NOTHING, kinds=("rows", "sessions"))
    assert sweep_table.table(ending).split("\n")[-1].startswith("Not swept: advisory locks, replication")


def test_where_rows_stay_is_told_with_their_numbers() -> None:
    kept = [Kept("public", table, rows, "too_young") for table, rows in (("a", 12), ("b", 3), ("c", 1))]

    def told(several: list[Kept]) -> str:
        return sweep_table.table(replace(NOTHING, kept=tuple(several))).split("\n")[0]

    assert told(kept[:1]) == "12 rows stay: too young (public.a)"
    assert told(kept[1:]) == "4 rows stay: too young (3 rows of public.b, 1 of public.c)"
    assert told(kept) == "16 rows stay: too young (12 rows of public.a, 4 in 2 other tables)"


def test_the_table_as_people_read_it() -> None:
    unchecked = ("public.secret: GRANT SELECT …",)
    text = sweep_table.table(replace(FULL, kept=KEPT[:1], orphans=ORPHANS[1:2], not_checked=unchecked))

    for line in (
        "Would be deleted from      Rows    Marked    Dependent",
        "public.bookings           1,201         1        1,200",
        "all 2 tables              1,204         4        1,200",
        "3 rows stay: too young (public.users)",
        "  too young: a later sweep removes it; --min-age sets another age",
        "Not checked:\n  public.secret: GRANT SELECT …",
        "Looked in test_app (PostgreSQL 18.1) for rows, schemas, databases, prepared\n"
        "  transactions, at least 10 min old. Rows of tests: test email, test id; and\n"
        "  what depends on them. Took 0.2 s",
        "  schema test_1717171717172_4712_y8g4: kept: of a run still alive, its owner",
    ):
        assert line in text
    acted = sweep_table.table(replace(ACTED, error="the connection was lost", min_age_s=0.0))
    assert "Deleted from" in acted
    assert "1,201" not in acted
    assert "rolled back" in acted
    assert "Ended early: the connection was lost" in acted
    assert "of any age" in acted
    assert "Took 12 s, 2 passes, longest transaction 100 ms" in acted
    assert "nothing was changed" not in acted


def test_the_document_is_the_one_that_was_promised() -> None:
    assert json.loads(sweep_json.document(replace(ACTED, error="lost", not_checked=("x",)))) == {
        "schema": "pgwatch-tests.sweep/1",
        "started_at": "2026-01-02T03:04:05.000Z",
        "server_version": "18.1",
        "database": "test_app",
        "dry_run": False,
        "kinds": ["rows", "schemas", "databases", "prepared"],
        "markers": ["test email", "test id"],
        "min_age_s": 600.0,
        "part": None,
        "in_spite_of_age": {"rows": 0, "runs": []},
        "planned": {
            "tables": [
                {"schema": "public", "table": "users", "marked": 3, "dependent": 0} | NONE_UNMARKED,
                {"schema": "public", "table": "bookings", "marked": 1, "dependent": 1200} | NONE_UNMARKED,
            ],
            "total": 1204,
            "unmarked": 0,
        },
        "deleted": {
            "tables": [{"schema": "public", "table": "users", "marked": 3, "dependent": 0} | NONE_UNMARKED],
            "total": 3,
            "unmarked": 0,
        },
        "kept": [
            {
                "schema": "public",
                "table": "users",
                "rows": 3,
                "reason": "too_young",
                "detail": "",
                "hint": "a later sweep removes it; --min-age sets another age",
            },
            {
                "schema": "public",
                "table": "invoices",
                "rows": 1,
                "reason": "locked",
                "detail": "by another session",
                "hint": "a later sweep removes it, once the transaction that works on it has ended",
            },
        ],
        "causes": [
            {
                "reason": "too_young",
                "detail": "",
                "rows": 3,
                "tables": [{"schema": "public", "table": "users", "rows": 3}],
            },
            {
                "reason": "locked",
                "detail": "by another session",
                "rows": 1,
                "tables": [{"schema": "public", "table": "invoices", "rows": 1}],
            },
        ],
        "also_refer": [],
        "youngest": None,
        "changed": [],
        "side_effects": [],
        "since": None,
        "mode": "marked",
        "left_by": [],
        "schemas_dropped": ["test_1717171717171_4711_x7f3"],
        "orphans": [
            {
                "kind": "schemas",
                "name": "test_1717171717171_4711_x7f3",
                "removed": True,
                "reason": None,
                "detail": "12 tables",
                "age_s": 7500.0,
            },
            {
                "kind": "schemas",
                "name": "test_1717171717172_4712_y8g4",
                "removed": False,
                "reason": "run_alive",
                "detail": "its owner lives",
                "age_s": None,
            },
            {
                "kind": "prepared",
                "name": "gid-1",
                "removed": True,
                "reason": None,
                "detail": "",
                "age_s": 700.0,
            },
        ],
        "not_checked": ["x"],
        "complete": False,
        "interrupted": False,
        "error": "lost",
        "gave_way": {"times": 0, "away_s": 0.0},
        "live_runs": [],
        "passes": 2,
        "duration_s": 12.0,
        "longest_transaction_s": 0.1,
    }


def test_csv_has_a_line_for_everything() -> None:
    report = replace(ACTED, not_checked=("x",), error="lost")
    users, kept, locked, schema, alive, prepared, unchecked, early = rows_of(sweep_csv.document(report))

    assert {name: value for name, value in users.items() if value} == {
        "database": "test_app",
        "kind": "rows",
        "status": "deleted",
        "schema": "public",
        "name": "users",
        "rows": "3",
        "marked": "3",
        "dependent": "0",
        "unmarked": "0",
    }
    assert (kept["status"], kept["reason"], kept["rows"]) == ("kept", "too_young", "3")
    assert locked["detail"] == "by another session"
    assert (schema["kind"], schema["status"], schema["age_s"]) == ("schemas", "dropped", "7500.000")
    assert (alive["status"], alive["reason"], alive["age_s"]) == ("kept", "run_alive", "")
    assert prepared["status"] == "rolled back"
    assert (unchecked["status"], unchecked["detail"]) == ("not checked", "x")
    assert (early["status"], early["detail"]) == ("ended early", "lost")
    planned = rows_of(sweep_csv.document(FULL))
    assert [line["status"] for line in planned] == [
        *("would be deleted", "would be deleted", "kept", "kept"),
        *("would be dropped", "kept", "would be rolled back"),
    ]


def test_markdown_as_people_read_it() -> None:
    document = sweep_markdown.document(replace(FULL, not_checked=("x",), error="lost"))

    assert document.startswith("## Sweep (dry run): 1,204 rows of 2 tables, 1 schema")
    for part in (
        "| `public.bookings` | 1,201 | 1 | 1,200 | 0 |\n",
        "### Kept\n\n- 3 rows stay: too young (`public.users`)\n",
        "<details><summary>What is kept, by table (2)</summary>\n\n| Table | Rows | Why | Detail |\n",
        "| `public.invoices` | 1 | locked | `by another session` |\n",
        "| schema | `test_1717171717171_4711_x7f3` | 2 h 5 min | would be dropped | `12 tables` |\n",
        "### What to do\n\n- too young: a later sweep removes it",
        "### Not checked\n\n- `x`\n",
        "**Ended early:** `lost`\n",
    ):
        assert part in document
    assert sweep_markdown.document(ACTED).startswith("## Sweep: 3 rows of 1 table")
