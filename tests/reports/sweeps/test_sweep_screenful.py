"""The report of a sweep on one screen: causes before tables, the largest first, and nothing without a sum."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak
from pgwatch_tests.reports.render.screenful import wrapped
from pgwatch_tests.reports.sweeps import sweep_csv, sweep_json, sweep_markdown, sweep_remarks, sweep_table
from pgwatch_tests.reports.sweeps.sweep_causes import cause_lines
from pgwatch_tests.sweep.model import (
    MAY_BE_CHANGED,
    SEEN_BY_BASELINE,
    AgeKnownBy,
    AlsoReferring,
    ChangedRows,
    Kept,
    Orphan,
    SideEffects,
    SweepReport,
    TableRows,
    YoungestRow,
)
from pgwatch_tests.text.times import clock
from tests.sweep.reports import AT, NOTHING, of_tables

BESIDE = replace(
    NOTHING,
    planned=(TableRows("public", "users", 6, 0, 0, 6), TableRows("public", "note", 0, 80, 66, 9000)),
    changed=(
        ChangedRows("public", "book", ("author",), "set_null", 12),
        ChangedRows("public", "book", ("shelf", "row"), "set_default", 1),
        ChangedRows("public", "invoice", ("par",), "not_enforced", 3),
    ),
    side_effects=(SideEffects("public", "audit", 40, 0, 0), SideEffects("public", "team", 0, 3, 1)),
)


def text_of(report: SweepReport) -> str:
    return " ".join(sweep_table.table(report).split())


@pytest.mark.parametrize("tables", [1, 12, 40, 500])
@pytest.mark.parametrize("dry_run", [True, False])
def test_it_fits_on_a_screen_whatever_there_is(tables: int, dry_run: bool) -> None:
    report = of_tables(tables, dry_run=dry_run)

    lines = sweep_table.table(report).splitlines()

    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    gone = report.planned if dry_run else report.deleted
    assert f"{sum(one.total for one in gone):,}" in sweep_table.table(report)
    assert any("owner_id" in line or line.startswith("Besides") for line in lines)
    assert any(" rows stay" in line for line in lines)


def test_every_section_of_a_report_of_everything_is_there() -> None:
    report = replace(
        of_tables(500),
        orphans=tuple(Orphan("schemas", f"test_{number}", True) for number in range(40)),
        not_checked=tuple(
            f"public.t{number}: GRANT SELECT ON public.t{number} TO app" for number in range(9)
        ),
        error="the connection was lost",
    )

    text = sweep_table.table(report)

    assert len(text.splitlines()) < 24
    assert "9 not checked" in text or "Not checked:" in text
    assert "left behind besides rows" in text.casefold()
    assert "Ended early: the connection was lost" in text


def test_causes_are_told_largest_first_with_the_rest_summed_up() -> None:
    report = of_tables(500)
    lines = sweep_table.table(report).splitlines()

    assert "317 rows stay because public.x (id=7) bears no marker and refers to public.team" in lines
    [rest] = [line for line in lines if "more cause" in line]
    told = [cause for cause in report.causes if f"{cause.rows:,} rows stay" in "\n".join(lines)]
    assert rest == (
        f"and {len(report.causes) - len(told):,} more causes, "
        f"{sum(cause.rows for cause in report.causes) - sum(cause.rows for cause in told):,} rows"
    )


def test_the_tables_add_up() -> None:
    report = of_tables(500)
    lines = sweep_table.table(report).splitlines()

    start, end = lines.index(next(line for line in lines if line.startswith("---"))) + 1, lines.index("")
    shown = [line.split() for line in lines[start:end]]
    assert shown[-1][:3] == ["all", "500", "tables"]
    assert shown[-2][1] == "more"
    rows = [int(line[1 if "." in line[0] else 2].replace(",", "")) for line in shown[:-1]]
    assert rows[:-1] == sorted(rows[:-1], reverse=True)
    assert sum(rows) == report.planned_rows == int(shown[-1][3].replace(",", ""))


def test_the_json_names_all_behind_a_cause() -> None:
    report = of_tables(500)
    document = json.loads(sweep_json.document(report))

    assert sum(cause["rows"] for cause in document["causes"]) == sum(one["rows"] for one in document["kept"])
    first = document["causes"][0]
    assert first["detail"] == "public.x (id=7) bears no marker and refers to public.team"
    assert first["rows"] == sum(table["rows"] for table in first["tables"]) == 317
    assert len(document["planned"]["tables"]) == 500
    page = sweep_markdown.document(report)
    assert "<details><summary>Would be deleted from 500 tables</summary>" in page
    assert all(f"`{one.schema}.{one.table}`" in page for one in report.planned)


def test_what_is_changed_and_what_triggers_do_is_told() -> None:
    text = text_of(BESIDE)

    for sentence in (
        "of these 66 without a marker, in tables where others bear one: public.note (66); --keep-unmarked",
        "half of a table or more would go: 6 of 6 rows of public.users",
        "12 rows of public.book lose author (SET NULL)",
        "1 row of public.book gets the default of shelf, row (SET DEFAULT)",
        "3 rows of public.invoice go on referring to rows that are gone: invoice.par isn't enforced",
        "triggers also inserted 40 rows into public.audit",
        "triggers also updated 3 rows of public.team, deleted 1 row of public.team",
    ):
        assert sentence in text
    assert "public.note" not in text.split("half of a table")[1]
    done = text_of(replace(BESIDE, dry_run=False, deleted=BESIDE.planned))
    assert "12 rows of public.book lost author (SET NULL)" in done
    assert "half of a table or more went: 6 of 6 rows" in done
    assert "--keep-unmarked" not in done
    document = json.loads(sweep_json.document(BESIDE))
    assert document["planned"]["unmarked"] == 66
    assert [one["how"] for one in document["changed"]] == ["set_null", "set_default", "not_enforced"]
    assert document["side_effects"][1]["deleted"] == 1
    assert "written by triggers" in sweep_csv.document(BESIDE)


@pytest.mark.parametrize(
    ("rows", "of", "large"), [(5, 10, True), (4, 10, False), (6, 4, True), (6, 0, False)]
)
def test_half_of_a_table_is_worth_a_warning(rows: int, of: int, large: bool) -> None:
    report = replace(NOTHING, planned=(TableRows("public", "users", rows, 0, 0, of),))

    assert bool(sweep_remarks.large_parts(report, str)) is large


@pytest.mark.parametrize(
    ("known_by", "words"),
    [
        ("stamp", "is stamped {at}"),
        ("created_at", "has created_at {at}"),
        ("commit", "was committed at {at}"),
        (
            "created_at_without_zone",
            "has a created_at without time zone, so of {at} at the latest (track_commit_timestamp = on tells "
            "exactly)",
        ),
    ],
)
def test_where_all_is_too_young_it_says_until_when_and_what_to_type(known_by: AgeKnownBy, words: str) -> None:
    youngest = YoungestRow("public", "posts", AT, known_by, 0)
    young = replace(NOTHING, kept=(Kept("public", "users", 317, "too_young"),), youngest=youngest)

    text = text_of(young)

    until = clock(AT + timedelta(seconds=600))
    assert "nothing to remove yet" in text
    assert (
        f"317 rows stay only for being younger than 10 min, until {until}: the youngest, of public.posts, "
        f"{words.format(at=clock(AT))}; --min-age 0 removes them now, --run ID those of one run"
    ) in text
    [cause] = cause_lines(young)
    assert cause.so.startswith("the youngest, of public.posts, ")
    assert "; a later sweep removes it" in cause.so
    held_back = text_of(replace(young, youngest=replace(youngest, held_back=12)))
    assert (
        ". 12 of them are older, but only go with younger rows that they hang together with; --min-age 0"
    ) in held_back
    assert "only for being younger" not in text_of(
        replace(young, planned=(TableRows("public", "users", 1, 0),))
    )


def test_rows_that_also_refer_to_real_ones_are_told() -> None:
    rows = AlsoReferring("public", "comments", 1, "public", "users")

    assert sweep_remarks.also_referring(NOTHING, str) == ""
    one = replace(NOTHING, also_refer=(rows,))
    words = "1 row of public.comments goes though it also refers to real rows of public.users"
    assert words in text_of(one)
    several = replace(NOTHING, also_refer=(replace(rows, rows=12, at_least=True), rows, rows))
    assert sweep_remarks.also_referring(several, str) == (
        "at least 12 rows of public.comments go though they also refer to real rows of public.users, "
        f"{words}, 1 more such pair of tables"
    )


def test_the_hint_fits_what_the_baseline_keeps() -> None:
    kept = (
        Kept("public", "users", 2, "shared_with_real_data", SEEN_BY_BASELINE),
        Kept("public", "notes", 1, "age_unknown", MAY_BE_CHANGED),
    )

    text = text_of(replace(NOTHING, kept=kept))

    assert "2 rows stay: there when the baseline was taken (public.users)" in text
    assert "shared with real data: only a sweep without --since removes it" in text
    assert "or let --settle wait for statistics" in text
    assert "let them refer to something else" not in text


def test_a_name_in_quotes_is_never_broken() -> None:
    statement = 'GRANT SELECT ON public."a name with blanks in it" TO "some role of ours"'

    lines = wrapped(statement, "  ", "    ", 40)

    assert len(lines) > 1
    assert " ".join(line.strip() for line in lines) == statement
    assert 'public."a name with blanks in it"' in "\n".join(lines)


def test_who_left_rows_since_the_baseline_is_told() -> None:
    left_by = (
        TestLeak("tests/a.py::test_b", "transaction", 40, (("public.users", 30), ("public.notes", 10))),
        TestLeak("", "unknown", 2, (("public.users", 2),), (), "no logged test ran"),
    )
    report = replace(BESIDE, since=AT, any_rows=True, left_by=left_by)

    text = text_of(report)

    assert "tests/a.py::test_b left 40 rows of 2 tables (transaction)" in text
    assert f"Nothing that was there at {clock(AT)}, when the baseline was taken" in text
    assert "rows without a marker that came since" in text
    assert "Rows New Dependent No marker" in text
    document = json.loads(sweep_json.document(report))
    assert (document["since"], document["mode"]) == ("2026-01-02T03:04:05.000Z", "any")
    assert document["left_by"][0]["tables"][0] == {"table": "public.users", "rows": 30}
    assert document["left_by"][1]["test"] is None
