"""Leaks for machines: valid whatever the text in them is, and nothing in it gets out of its place."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pgwatch_tests.cli.formats import LEAKS, Format, render_leaks
from pgwatch_tests.leaks.gate import DEFAULT_KINDS, Gate
from pgwatch_tests.leaks.model import (
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
)
from pgwatch_tests.reports.leaks import leak_csv, leak_github, leak_json, leak_junit, leak_markdown

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GATE = Gate()
HOSTILE = (
    "=1+1 | `a` ``` <img src=x onerror=alert(1)> [x](http://evil.example) www.evil.example a@evil.example "
    "::error::x %0A, \\| \x1b[31m \x00 \n::warning::y\r\n```\n## h \u202e \udcff \ufffe ]]> &amp;"
)
CLEAN = LeakReport(AT, "18.1", "app", ("test email",), 5, (), (), 0.25, kinds_checked=DEFAULT_KINDS)
LEAKING = replace(
    CLEAN,
    tables=(
        TableLeak(
            *("public", "users", "table", ("email",), 7, AT, AT, ("a…@test.example.com",)),
            (Attribution("t.py::test_a", "marker", 4), Attribution("3 tests", "1 of N", 3)),
        ),
    ),
    skipped=(Skipped("public", "secret", "locked", "wait"),),
    leftovers=(
        Leftover("schema", "test_1", "1 relation", 7500.0),
        Leftover("schema", "test_2"),
        Leftover("advisory_lock", "42", "pid 7", 3.0),
    ),
    unchecked=(Unchecked("idle_in_transaction", "not visible: needs pg_monitor", "GRANT …"),),
)


def of_text(text: str) -> LeakReport:
    """A report that says `text` wherever it can."""
    return LeakReport(
        *(AT, text, text, (text,), 5),
        (TableLeak(text, text, "table", (text,), 7, AT, AT, (text,), (Attribution(text, "marker", 7),)),),
        (Skipped(text, text, text, text),),
        0.25,
        baseline=BaselineUse(AT, "snapshot", text),
        leftovers=(Leftover("schema", text, text, 7500.0, hint=text),),
        unchecked=(Unchecked("setting", text, text),),
        kinds_checked=("schema", "setting"),
        ignored=(Ignored(text, text),),
    )


def test_a_statement_that_could_not_give_way_is_told() -> None:
    report = replace(CLEAN, in_the_way_s=7.25)
    forms: tuple[Format, ...] = ("table", "markdown")
    for form in forms:
        assert "A statement ran for 7.2 s without giving way" in render_leaks(form, report, GATE)
    assert json.loads(leak_json.document(report))["gave_way"]["in_the_way_s"] == 7.25


def several(*reports: LeakReport, not_checked: tuple[NotChecked, ...] = ()) -> LeaksOfDatabases:
    return LeaksOfDatabases(AT, reports, not_checked, 1.0)


def html(markdown: str) -> str:
    return str(MarkdownIt("gfm-like").render(markdown))


def lines_of(document: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(document)))


def cases(document: str) -> dict[str, Element]:
    return {case.get("name", ""): case for case in ElementTree.fromstring(document.encode()).iter("testcase")}


texts = st.text(alphabet=st.sampled_from("ab `|\\<>&[]()*_~:,%=+-@\n\r\t\0\x1b\u202e\ud800\uffff#.!;'\"ä界"))


@settings(deadline=None)
@given(texts | st.text())
def test_every_form_is_valid_whatever_the_text_is(text: str) -> None:
    one = of_text(text)
    both = several(one, one, not_checked=(NotChecked(text, text),))

    assert [len(line) for line in csv.reader(io.StringIO(leak_csv.document(one)))] == [17] * 5
    assert [len(line) for line in csv.reader(io.StringIO(leak_csv.document(both)))] == [17] * 10
    for leaks in (one, both):
        suites = ElementTree.fromstring(render_leaks("junit", leaks, GATE).encode())
        for suite in suites:
            kinds = ("testcase", "testcase/failure", "testcase/skipped")
            counts = [str(len(suite.findall(kind))) for kind in kinds]
            assert counts == [suite.get(name) for name in ("tests", "failures", "skipped")]
        *annotations, _ = render_leaks("github", leaks, GATE).splitlines()
        assert len(annotations) == (4 if leaks is one else 5)
        for annotation in annotations:
            assert re.fullmatch(r"::(error|warning) title=[^:,\r\n]*::[^\r\n]*", annotation)
        page = html(render_leaks("markdown", leaks, GATE))
        assert set(re.findall(r"<(\w+)", page)) <= {
            *("h2", "h3", "h4", "p", "code", "table", "thead", "tbody", "tr", "th", "td", "strong"),
            *("details", "summary"),
        }
        assert page.count("<table>") == (4 if leaks is one else 13)
        for form in LEAKS:
            document = render_leaks(form, leaks, GATE)
            assert not set(document) & set("\x00\x1b\r\u202e\ufffe")
            document.encode()


@pytest.mark.parametrize("form", LEAKS)
def test_hostile_text_is_harmless_in_every_form(form: Format) -> None:
    one = of_text(HOSTILE)
    for leaks in (one, several(one, not_checked=(NotChecked(HOSTILE, HOSTILE),))):
        document = render_leaks(form, leaks, GATE)
        assert not set(document) & set("\x00\x1b\r\u202e\udcff\ufffe")
        assert not any(line.startswith(("::warning::y", "## h")) for line in document.splitlines())


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", " =1", "＝1", "\r\n-1"])
def test_a_spreadsheet_runs_no_cell(text: str) -> None:
    for line in lines_of(leak_csv.document(of_text(text))):
        for column in ("database", "schema", "name", "detail", "hint", "columns", "samples", "left_by"):
            assert not line[column].lstrip().startswith(tuple("=+-@＝")), (column, line[column])


def test_csv_tells_how_many_of_any_rows_are_marked_and_how_many_changed() -> None:
    leak = replace(LEAKING.tables[0], rows=7, marked=4, changed=0)
    line, *_ = lines_of(leak_csv.document(replace(LEAKING, mode="any", tables=(leak,))))

    assert (line["rows"], line["marked"], line["changed"]) == ("7", "4", "0")
    assert tuple(line)[-3:] == ("marked", "changed", "server"), "columns are added at the end"


def test_csv_has_a_line_for_everything() -> None:
    table, first, second, lock, skipped, unchecked = lines_of(leak_csv.document(LEAKING))

    assert {name: value for name, value in table.items() if value} == {
        "database": "app",
        "kind": "rows",
        "status": "leaked",
        "schema": "public",
        "name": "users",
        "rows": "7",
        "columns": "email",
        "oldest": "2026-01-02T03:04:05.000Z",
        "newest": "2026-01-02T03:04:05.000Z",
        "samples": "a…@test.example.com",
        "left_by": "t.py::test_a 4 (marker); 3 tests 3 (1 of N)",
        "detail": "table",
    }
    assert (first["kind"], first["status"], first["name"], first["age_s"]) == (
        *("schema", "left over", "test_1", "7500.000"),
    )
    assert second["age_s"] == ""
    assert lock["kind"] == "advisory_lock"
    assert (skipped["kind"], skipped["status"], skipped["name"], skipped["hint"]) == (
        *("rows", "not checked", "secret", "wait"),
    )
    assert (unchecked["kind"], unchecked["status"]) == ("idle_in_transaction", "not checked")
    nothing = several(CLEAN, not_checked=(NotChecked("b", "no such database"),))
    clean, line = lines_of(leak_csv.document(nothing))
    assert {name: value for name, value in clean.items() if value} == {"database": "app", "status": "clean"}
    assert (line["database"], line["status"], line["detail"]) == ("b", "not checked", "no such database")


def test_junit_fails_on_what_the_gate_fails_on() -> None:
    found = cases(leak_junit.document(LEAKING, GATE))

    outcomes = {name: [child.tag for child in case] for name, case in found.items()}
    assert outcomes == {
        "no test rows in public.users": ["failure"],
        "no test rows in public.secret": ["skipped", "system-out"],
        "no test rows in 4 other tables": [],
        # The three tests that may have been it aren't blamed.
        "t.py::test_a leaves no rows": ["failure"],
        "no test schemas": ["failure"],
        "no sessions idle in transaction": ["skipped", "system-out"],
        "no prepared transactions": [],
        "no advisory locks of idle sessions": ["system-out"],
        "no logical replication slots": [],
        "no temporary schemas of dead sessions": [],
        "no invalid indexes": [],
        "no disabled triggers and constraints": [],
    }
    failure = found["no test rows in public.users"].find("failure")
    assert failure is not None
    assert failure.get("message") == "3 leaked rows; 4 rows more in the cases of tests"
    assert failure.text is not None
    assert "left by: t.py::test_a 4 (marker); 3 tests 3 (1 of N)" in failure.text
    schemas = found["no test schemas"].find("failure")
    assert schemas is not None
    assert (schemas.get("type"), schemas.get("message")) == ("schema", "2 test schemas")
    assert schemas.text == "test_1, 2 h 5 min old: 1 relation\ntest_2"
    tolerant = cases(leak_junit.document(LEAKING, Gate(frozenset({"rows", "advisory_lock"}), 7)))
    assert [name for name, case in tolerant.items() if case.find("failure") is not None] == [
        "no advisory locks of idle sessions"
    ]


def test_junit_of_nothing_found_passes() -> None:
    suite = ElementTree.fromstring(leak_junit.document(CLEAN, GATE).encode()).find("testsuite")

    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("9", "0", "0")
    assert suite.get("name") == "pgwatch-tests leaks: app"
    assert suite.get("time") == "0.250"


def test_junit_has_a_suite_per_database_that_has_something_to_tell() -> None:
    leaks = several(LEAKING, replace(CLEAN, database="b"), not_checked=(NotChecked("c", "gone"),))

    suites = ElementTree.fromstring(leak_junit.document(leaks, Gate(max_rows=7)).encode())

    assert [suite.get("name") for suite in suites] == [
        "pgwatch-tests leaks: app",
        "pgwatch-tests leaks: clean databases",
        "pgwatch-tests leaks: databases not checked",
    ]
    # Seven rows in all are tolerated; the schemas aren't.
    assert [suite.get("failures") for suite in suites] == ["1", "0", "0"]
    assert suites[2].find("testcase/skipped") is not None


def test_annotations_are_errors_where_the_gate_fails() -> None:
    *lines, summary = leak_github.document(LEAKING, GATE).splitlines()

    assert lines[0] == (
        "::error title=7 leaked rows in public.users::in email; database app%0A"
        "such as a…@test.example.com%0Aleft by t.py::test_a 4 (marker); 3 tests 3 (1 of N)"
    )
    assert lines[1].startswith(
        "::error title=left over in database app%3A 2 test schemas::test_1, 2 h 5 min old"
    )
    assert lines[2].startswith("::warning title=left over in database app%3A 1 advisory lock")
    assert lines[3] == "::error title=not checked in database app%3A 1 table::public.secret: locked → wait"
    assert lines[4].startswith(
        "::error title=not fully checked in database app%3A sessions idle in transaction"
    )
    assert len(lines) == 5
    assert summary.startswith("7 leaked rows in 1 table; left over: 2 test schemas, 1 advisory lock")
    notice, summary = leak_github.document(CLEAN, GATE).splitlines()
    assert notice.startswith(
        "::notice title=pgwatch-tests leaks::Rows without a marker aren't counted. To see"
    )
    assert summary == "no leaked rows"
    assert "::error title=7 leaked" not in leak_github.document(LEAKING, Gate(max_rows=7))


def test_markdown_as_people_read_it() -> None:
    document = leak_markdown.document(LEAKING, GATE)

    assert document.startswith(
        "## Leaks: 7 leaked rows in 1 table; left over: 2 test schemas, 1 advisory lock"
    )
    assert "| `public.users` | **7** | `email` | 2026-01-02 03:04:05 |" in document
    assert "### By test\n\n| Test | Rows | Known by | Tables |\n" in document
    assert "| `t.py::test_a` | 4 | marker | `public.users 4` |\n" in document
    assert "| **test schema** | `test_1` | 2 h 5 min | `1 relation` |\n" in document
    assert "| advisory lock of an idle session | `42` | 3.0 s | `pid 7` |\n" in document
    assert "| `public.secret` | `locked` | `wait` |\n" in document
    assert "**7**" not in leak_markdown.document(LEAKING, Gate(max_rows=7))
    assert leak_markdown.document(CLEAN, GATE).startswith(
        "## Leaks: no leaked rows (database `app`)\n\nChecked 5"
    )
    many = replace(CLEAN, leftovers=tuple(Leftover("schema", f"test_{n}") for n in range(103)))
    assert "\n… and 3 more.\n" in leak_markdown.document(many, GATE)


@pytest.mark.parametrize("form", [form for form in LEAKS if form != "openmetrics"])
def test_what_mends_a_leftover_is_told(form: Format) -> None:
    statement = 'ALTER TABLE "public"."a" VALIDATE CONSTRAINT "b"'
    mended = Leftover("disabled_trigger", "public.a: b", "check constraint: NOT VALID", hint=statement)
    kinds = (*DEFAULT_KINDS, "disabled_trigger")
    report = replace(CLEAN, leftovers=(mended, Leftover("schema", "test_1")), kinds_checked=kinds)

    told = render_leaks(form, report, Gate(frozenset({"disabled_trigger"})))

    unescaped = told.replace("&quot;", '"').replace('""', '"').replace('\\"', '"')
    assert statement in unescaped


def test_markdown_of_very_many_databases_is_cut() -> None:
    reports = [replace(CLEAN, database=f"d{number}") for number in range(40)] + [LEAKING]

    document = leak_markdown.document(several(*reports), GATE)

    assert document.count("<details><summary>app: 7 leaked rows") == 1
    assert "<summary>Clean: 40 databases</summary>\n\n`d0, d1, " in document
    assert "\n\nChecked 205 tables (5 each), PostgreSQL `18.1`, for `test email`. " in document
    leaking = [replace(LEAKING, database=f"d{number}") for number in range(40)]
    document = leak_markdown.document(several(*leaking), GATE)
    assert document.count("<details><summary>d") == 10
    assert "\n\n… and 30 more databases, with fewer leaks.\n" in document
    assert "\n| `public.users` | 280 | 40 | `d0` |\n" in document
    lengthy = replace(LEAKING, leftovers=tuple(Leftover("schema", "x", "y" * 3_000) for _ in range(100)))
    document = leak_markdown.document(several(*[replace(lengthy, database=f"d{n}") for n in range(9)]), GATE)
    assert document.count("<details><summary>d") == 1
    assert "\n… and 8 more databases, with fewer leaks.\n" in document
    assert len(document.encode()) < 2**20


def test_json_of_several_databases() -> None:
    leaks = several(LEAKING, CLEAN, not_checked=(NotChecked("c", "gone"),))

    found = json.loads(leak_json.document(leaks))

    assert found == {
        "schema": "pgwatch-tests.leaks-of-databases/1",
        "checked_at": "2026-01-02T03:04:05.000Z",
        "total": 7,
        "complete": False,
        "databases": [json.loads(leak_json.document(LEAKING)), json.loads(leak_json.document(CLEAN))],
        "not_checked": [{"database": "c", "reason": "gone"}],
    }
    assert json.loads(leak_json.document(several(CLEAN)))["complete"] is True
    assert found["databases"][0]["leftovers"][0] == {
        "kind": "schema",
        "name": "test_1",
        "detail": "1 relation",
        "age_s": 7500.0,
        "test": None,
        "hint": "",
    }
