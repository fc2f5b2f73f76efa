from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.accepted_findings import Finding
from pgwatch_tests.leaks.gate import ALL_KINDS
from pgwatch_tests.leaks.model import (
    Accepted,
    AcceptedUse,
    Attribution,
    BaselineUse,
    Ignored,
    LeakReport,
    LeaksOfDatabases,
    Leftover,
    NotChecked,
    Skipped,
    TableLeak,
    Unchecked,
    UnreadColumn,
)
from pgwatch_tests.reports.leaks.leak_table import table
from pgwatch_tests.reports.leaks.leak_words import kind, summary, suspected

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
        "Which test left 7 leaked rows isn't known: pytest --pgwatch=warn tells it (in autocommit: "
        "without -n); or put the test's hash into values, and pass --tests (docs/test-ids.md)\n"
        "Checked 3 tables of app_test (PostgreSQL 18.4) for: test email, test id\n"
        "Rows are checked by their strings, also in arrays, composites, ranges, JSON, hstore and ltree;"
        " not in XML, bytea or tsvector\n"
        f"Only rows were looked for; not looked for: {', '.join(kind(name, 2) for name in ALL_KINDS)}"
    )


def test_who_left_rows_is_told_or_how_to_learn_it() -> None:
    def said(*attribution: Attribution) -> str:
        return table(report((replace(USERS, attribution=attribution),)))

    marker = Attribution("tests/test_a.py::test_b", "marker", 5)
    assert "isn't known" not in said(replace(marker, rows=7))
    assert "isn't known" not in said(marker, Attribution("", "1 of N", 2, ("a", "b")))
    assert "Which test left 2 leaked rows isn't known: pytest --pgwatch=warn" in said(
        marker, Attribution("", "unknown", 2)
    )
    assert "isn't known" not in table(report())


def test_what_makes_it_known_is_told_where_the_log_doesnt_tell() -> None:
    def said(detail: str) -> str:
        return table(report((replace(USERS, attribution=(Attribution("", "unknown", 7, (), detail),)),)))

    assert "make values with unique_email or unique_id, or run once without -n" in said(
        "the row has no time of creation, and no logged transaction inserted it"
    )
    assert "pytest --pgwatch=warn tells it" in said("there is no transaction log")
    # These need another list of tests, or another limit.
    assert "pass --tests" in said("#90c94f42: a hash of no known test")
    assert "pass --tests" in said("not examined: the limit is 2,000 rows per table")


def test_a_single_suspect_is_no_fact() -> None:
    assert suspected(["t.py::test_a"]) == "t.py::test_a, or somebody else"
    assert suspected(["t.py::test_a", "t.py::test_b"]) == "one of t.py::test_a, t.py::test_b"


def test_nothing_found_is_said_without_tables() -> None:
    lines = table(report()).splitlines()

    assert lines[0] == "no leaked rows"
    assert "Rows without a marker aren't counted" in lines[3]
    assert len(lines) == 5


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


def test_the_last_line_says_what_was_looked_for() -> None:
    assert table(report()).splitlines()[-1].startswith("Only rows were looked for")
    some = replace(report(), kinds_checked=("schema", "invalid_index"))
    assert (
        table(some)
        .splitlines()[-1]
        .startswith("Leftovers looked for: test schemas, invalid indexes; not looked for: sessions idle in")
    )
    everything = replace(report(), kinds_checked=ALL_KINDS)
    assert "not looked for" not in table(everything)


def test_leftovers_and_what_was_not_checked_of_them() -> None:
    text = table(
        replace(
            report(),
            kinds_checked=("schema", "idle_in_transaction"),
            leftovers=(
                Leftover("schema", "test_1_2_3", "3 relations, owner ci", 7500.0),
                Leftover("schema", "test_x"),
                Leftover("idle_in_transaction", "pid 7", "test t.py::test_a (pytest gw0)", 12.0),
            ),
            unchecked=(
                Unchecked(
                    "idle_in_transaction",
                    "2 sessions of other roles not visible: needs pg_monitor",
                    'GRANT pg_monitor TO "ci"',
                ),
            ),
        )
    )

    assert text.startswith(
        "Left over                    Name              Age  Detail\n"
        "---------------------------  ----------  ---------  ------------------------------\n"
        "test schema                  test_1_2_3  2 h 5 min  3 relations, owner ci\n"
        "test schema                  test_x\n"
        "session idle in transaction  pid 7            12 s  test t.py::test_a (pytest gw0)\n"
        "\n"
        "Not checked                   Reason                                                   "
    )
    assert (
        "\nno leaked rows; left over: 2 test schemas, 1 session idle in transaction; "
        "not fully checked: sessions idle in transaction\n"
    ) in text


def test_very_many_leftovers_are_cut() -> None:
    leftovers = tuple(Leftover("schema", f"test_{number}") for number in range(203))

    assert "\n… and 3 more\n" in table(replace(report(), leftovers=leftovers))


def test_by_test_with_how_it_is_known() -> None:
    attribution = (Attribution("t.py::test_a", "marker", 5), Attribution("", "unknown", 2))

    text = table(report((replace(USERS, attribution=attribution),)))

    assert (
        "By test       Known by      Rows  Tables\n"
        "------------  ----------  ------  ------------\n"
        "t.py::test_a  marker           5  public.users\n"
        "              unknown          2  public.users\n"
    ) in text


def test_baseline_and_what_the_settings_leave_out_are_told() -> None:
    text = table(
        replace(
            report(),
            mode="any",
            baseline=BaselineUse(CHECKED_AT, "statistics", "nobody else was connected", 9),
            ignored=(Ignored("public.log", "grows always", 1),),
        )
    )

    assert "no new or changed rows" in text
    assert (
        "\nCompared with the baseline of 2026-01-02 03:04:05 UTC: 9 tables untouched by the server's "
        "statistics\nIgnored: public.log (in 1 table: grows always)\n"
    ) in text


def test_several_databases() -> None:
    first, second = report((USERS,)), report(database="b_test")
    text = table(
        LeaksOfDatabases(CHECKED_AT, (first, second), (NotChecked("c_test", "no such\x1b database"),), 1.0)
    )

    assert text.startswith(
        "Database      Rows    Left over    Unchecked  Most rows in\n"
        "----------  ------  -----------  -----------  --------------\n"
        "app_test         7            0            0  public.users\n\n"
        "Not checked    Reason\n-------------  -----------------\n"
        "c_test         no such␛ database\n\n"
    )
    assert (
        "\n\n7 leaked rows in 1 of 2 databases; 1 database not checked at all\n"
        "Clean: 1 database; --verbose names it, and tells all of the others\n"
    ) in text


def test_what_databases_have_in_common_is_told_once() -> None:
    unread = UnreadColumn("public", "books", "cover", "bytea")
    entry = Finding("leaks", "rows", "public.old", "*")
    gone = Finding("leaks", "rows", "public.older", "*")
    reports = [
        replace(
            report(database=f"d{number}"),
            unread=(unread,),
            ignored=(Ignored("public.log", "grows", 1),),
            accepted=AcceptedUse((Accepted(entry, 2),), (gone,) if not number else ()),
            without_strings=("public.flags",),
            away_s=(1.0,) if number else (),
            live_runs=("unit (ci@host)",),
        )
        for number in range(3)
    ]

    text = table(LeaksOfDatabases(CHECKED_AT, tuple(reports), (), 1.0)).replace("\n  ", " ")

    for line in (
        "Not read: public.books.cover (bytea)",
        "No strings to search in 1 table: public.flags",
        "Left the database 2 times, 2.0 s in all, while others dropped, altered or copied it, and then went",
        "Ignored: public.log (in 3 tables: grows)",
        "At work in it: unit (ci@host)",
        "Accepted, not counted: 6 rows of public.old",
        "Accepted, but not found any more: rows of public.older; remove from the file",
    ):
        assert text.count(f"\n{line}") == 1, line


def test_hundreds_of_databases_are_a_screen() -> None:
    servers = tuple(f"ci-{number}" for number in range(1, 6))
    reports = [
        replace(
            report((USERS,) if number % 3 else ()),
            server=server,
            database=f"a_rather_long_name_of_a_test_database_{number}",
            server_version="16.2" if server == "ci-3" else "18.1",
            leftovers=(Leftover("schema", f"test_{number}"),) if number % 5 == 1 else (),
        )
        for server in servers
        for number in range(40)
    ]
    missing = NotChecked("", "cannot connect (service ci-9): no answer from the server in 5 s", "ci-9", 3)
    leaks = LeaksOfDatabases(CHECKED_AT, tuple(reports), (missing,), 1.0, (*servers, "ci-9"))

    short, whole = table(leaks).split("\n"), table(leaks, verbose=True)

    assert len(short) <= 23
    assert max(map(len, short)) <= 80
    assert "… and 143 more databases" in short
    assert any(line.startswith("ci-9") and "no answer from the server in 5 s" in line for line in short)
    assert any(line.split()[:3] == ["public.users", "910", "130"] for line in short)
    ending = "\n".join(short[-8:])
    assert "\n910 leaked rows, 40 leftovers in 145 of 200 databases on 5 servers; 1 server" in ending
    assert "PostgreSQL 18.1 (160), 16.2 (40), for" in ending.replace("\n  ", " ")
    gone = tuple(NotChecked("", f"reason {number}", f"ci-{number}", 3) for number in range(20, 25))
    named = table(replace(leaks, not_checked=gone, servers=(*servers, *(one.server for one in gone))))
    assert [line.split() for line in named.split("\n") if " reason " in line] == [
        [one.server, *one.reason.split()] for one in gone
    ], "each server that can't be reached is named before the others get more than a row"
    assert named.count("\n") < 23
    totals = [line.split() for line in whole.split("\n")]
    assert ["ci-2", "40", "11", "0", "8", "182"] in totals
    assert ["all", "6", "servers", "200", "55", "1", "40", "910"] in totals
    assert whole.count("\n== ci-") == 145


def test_numbers_stay_names_and_other_zones_become_utc() -> None:
    leak = TableLeak(
        "1e5", "007", "table", ("0x10",), 12345678, datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    )

    row = table(report((leak,))).splitlines()[2]

    assert row.split() == ["1e5.007", "12,345,678", "0x10", "2025-12-31", "22:00:00"]


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
    left = Leftover("schema", schema, sample, 1.0, hint=column)
    unchecked = Unchecked("schema", name, column)
    text = table(replace(report(), leftovers=(left,), unchecked=(unchecked,)))
    assert len(text.split("\n")) == 13
    lines += text.split("\n")
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
