from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.leaks.model import Ignored, LeakReport, Skipped, TableLeak
from pgwatch_tests.reports.leak_table import summary, table

CHECKED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def report(
    tables: tuple[TableLeak, ...] = (),
    skipped: tuple[Skipped, ...] = (),
    tables_checked: int = 3,
    database: str = "app_test",
) -> LeakReport:
    return LeakReport(
        CHECKED_AT, "18.4", database, ("test email", "test id"), tables_checked, tables, skipped, 0.25
    )


USERS = TableLeak(
    "public",
    "users",
    "table",
    ("email", "name"),
    7,
    CHECKED_AT - timedelta(hours=2),
    CHECKED_AT,
    ("a…@test.example.com", "b…@test.example.com"),
)
SECRET = Skipped("public", "secret", "no SELECT privilege", 'GRANT SELECT ON "public"."secret" TO "ci"')


def test_the_whole() -> None:
    assert table(report((USERS,), (SECRET,))) == (
        "Table           Rows  Columns      Oldest (UTC)         Newest (UTC)         Samples\n"
        "------------  ------  -----------  -------------------  -------------------"
        "  ----------------------------------------\n"
        "public.users       7  email, name  2026-01-02 01:04:05  2026-01-02 03:04:05"
        "  a…@test.example.com, b…@test.example.com\n"
        "\n"
        "Not checked    Reason               What would help\n"
        "-------------  -------------------  -----------------------------------------\n"
        'public.secret  no SELECT privilege  GRANT SELECT ON "public"."secret" TO "ci"\n'
        "\n"
        "7 leaked rows in 1 table; 1 table not checked\n"
        "Checked 3 tables of app_test (PostgreSQL 18.4) for: test email, test id\n"
        "Only rows are checked so far: strings, also in arrays, composites, ranges, JSON and hstore;"
        " no XML, bytea or tsvector, no left-over schemas, sessions or prepared transactions"
    )


def test_nothing_found_is_said_without_tables() -> None:
    lines = table(report()).splitlines()

    assert lines[0] == "no leaked rows"
    assert len(lines) == 3


def many(*counts: int) -> tuple[TableLeak, ...]:
    return tuple(TableLeak("public", f"t{i}", "table", ("c",), rows) for i, rows in enumerate(counts))


@pytest.mark.parametrize(
    ("leaks", "skipped", "line"),
    [
        (many(1), (), "1 leaked row in 1 table"),
        (many(4, 3), (SECRET,), "7 leaked rows in 2 tables; 1 table not checked"),
        ((), (SECRET, Skipped("public", "s2", "locked")), "no leaked rows; 2 tables not checked"),
        # Two reasons, one table.
        (
            many(7),
            (SECRET, Skipped("public", "secret", "locked")),
            "7 leaked rows in 1 table; 1 table not checked",
        ),
    ],
)
def test_summary(leaks: tuple[TableLeak, ...], skipped: tuple[Skipped, ...], line: str) -> None:
    assert summary(report(leaks, skipped)) == line


def test_the_last_line_says_that_only_rows_were_looked_at() -> None:
    assert table(report()).splitlines()[-1].startswith("Only rows are checked so far")


def test_numbers_stay_names_and_other_zones_become_utc() -> None:
    leak = TableLeak(
        "1e5", "007", "table", ("0x10",), 12345678, datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    )

    row = table(report((leak,))).splitlines()[2]

    assert row.split() == ["1e5.007", "12345678", "0x10", "2025-12-31", "22:00:00"]


def test_what_isnt_a_plain_table_says_so() -> None:
    leak = TableLeak("public", "v", "materialized view", ("c",), 1)

    assert "public.v (materialized view)" in table(report((leak,)))


def test_wide_characters_keep_the_columns_aligned() -> None:
    wide = TableLeak("public", "日本語", "table", ("c",), 1)
    narrow = TableLeak("public", "longer_name", "table", ("c",), 1)

    lines = table(report((wide, narrow))).splitlines()

    # 13 cells for "public.日本語", in 10 characters.
    assert lines[2].index(" 1  c") == lines[3].index(" 1  c") - 3


HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
names = st.text(st.characters(), max_size=12)


@settings(deadline=None)
@given(names, names, names, names)
def test_foreign_text_can_neither_break_lines_nor_command_a_terminal(
    schema: str, name: str, column: str, sample: str
) -> None:
    leak = TableLeak(schema, name, "table", (column,), 1, samples=(sample,))
    text = table(report((leak,), (Skipped(schema, name, sample, column),), database=name))
    lines = text.split("\n")

    assert len(lines) == len(table(report((USERS,), (SECRET,))).split("\n"))
    assert not {character for line in lines for character in line if category(character) in HARMFUL}


def test_what_is_ignored_is_one_line() -> None:
    ignored = (
        Ignored("audit", "", 3),
        Ignored("public.users.notes", "real addresses of staff\x1b[2J", 1),
        Ignored("pubic", "", 0),
    )

    lines = table(replace(report(), ignored=ignored)).splitlines()

    assert lines[-2] == (
        "Ignored: audit (in 3 tables); public.users.notes (in 1 table: real addresses of staff␛[2J); "
        "pubic (matches nothing that would be checked)"
    )
