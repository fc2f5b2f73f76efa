"""The last words of a run on what was left: nothing is called clean that wasn't looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pgwatch_tests.leaks.model import Attribution, LeakReport
from pgwatch_tests.record.plugin_findings import PluginFinding, PluginSessions
from pgwatch_tests.record.results import RunRecord
from pgwatch_tests.record.run_summary import RunFacts
from pgwatch_tests.run.checks.fail_on import Evidence
from pgwatch_tests.run.outcome import closing_words
from tests.record.recordings import leak_report

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEAKED = leak_report()
CLEAN = replace(LEAKED, tables=(), leftovers=())
INVOICES = "public.invoices"
ROW = PluginFinding("rows", "a.py::b", True, f"left 1 row in {INVOICES}", tables=(INVOICES,), rows=1)
WAITED = PluginFinding("blocked", "a.py::b", True, "waited 3 s")


def said(known: Evidence, *command: str) -> list[str]:
    record = RunRecord(RunFacts("1a2b3c4d", "", command, AT, AT, 0, 0))
    return list(closing_words.lines(record, known, None, 0))


@pytest.mark.parametrize(
    ("leaks", "findings", "words"),
    [
        (CLEAN, (), "nothing leaked"),
        (CLEAN, (WAITED,), "nothing leaked; 1 other finding in 1 test"),
        (CLEAN, (ROW,), "1 leaked row"),
        (CLEAN, (ROW, WAITED), "1 leaked row; 1 other finding in 1 test"),
        (LEAKED, (ROW, ROW), f"{LEAKED.total + 2} leaked rows and 1 other leftover"),
        (replace(CLEAN, without_strings=(INVOICES,)), (), "no row with a marker left"),
        (replace(CLEAN, mode="any", without_strings=(INVOICES,)), (), "nothing leaked"),
        (
            replace(CLEAN, mode="any"),
            (ROW,),
            "1 leaked row, none of them there in the end",
        ),
    ],
)
def test_what_isnt_called_clean(leaks: LeakReport, findings: tuple[PluginFinding, ...], words: str) -> None:
    known = Evidence(leaks=leaks, plugin=PluginSessions(findings))

    assert said(known)[0] == f"the command passed; {words}"


def test_findings_of_the_plugin_are_told_up_to_some() -> None:
    few = PluginSessions((ROW, replace(ROW, owner="")))
    many = PluginSessions(tuple(replace(ROW, owner=f"a.py::t{number}") for number in range(12)))

    assert said(Evidence(leaks=CLEAN, plugin=few))[1:] == [
        "  the plugin: a.py::b: left 1 row in public.invoices",
        "  the plugin: nobody known for a fact: left 1 row in public.invoices",
    ]
    lines = said(Evidence(plugin=many))
    assert len(lines) == 7
    assert lines[-1] == "  and 7 findings more of the plugin"


def test_what_isnt_known_of_a_table_is_told_beside_its_rows() -> None:
    unmarked = closing_words.unmarkable([INVOICES])
    known = Evidence(leaks=replace(CLEAN, without_strings=(INVOICES,)), plugin=PluginSessions((ROW,)))
    record = RunRecord(RunFacts("1a2b3c4d", "", (), AT, AT, 0, 0), not_checked=("the log", unmarked))

    assert list(closing_words.lines(record, known, None, 0))[1:] == [
        "  the plugin: a.py::b: left 1 row in public.invoices",
        f"  not checked: {unmarked}",
        "  not checked: the log",
    ]


def test_how_to_learn_whose_rows_are_is_told_where_nobody_is_known() -> None:
    unknown = replace(LEAKED, tables=tuple(replace(one, attribution=()) for one in LEAKED.tables))

    def how(known: Evidence, *command: str) -> list[str]:
        return [line for line in said(known, *command) if "to learn it" in line]

    assert how(Evidence(leaks=unknown), "python", "-m", "pytest") == [
        "  which test left rows isn't known; to learn it: pgwatch-tests run -- pytest --pgwatch=warn … "
        "(autocommit writes: without -n)"
    ]
    assert how(Evidence(leaks=unknown), "npx", "vitest", "run") == [
        "  which test left rows isn't known; to learn it: put the test's hash into values (docs/test-ids.md)"
    ]
    assert how(Evidence(leaks=unknown, plugin=PluginSessions()), "pytest") == []
    assert how(Evidence(leaks=CLEAN), "pytest") == []
    assert how(Evidence(leaks=LEAKED), "pytest") == []


def test_who_may_have_left_rows_is_named() -> None:
    unsure = Attribution("", "1 of N", 4, ("t.py::test_a", "t.py::test_b"))
    leaked = replace(LEAKED, tables=(replace(LEAKED.tables[0], attribution=(unsure,)),))
    assert any(
        line.endswith("left by one of t.py::test_a, t.py::test_b")
        for line in said(Evidence(leaks=leaked), "pytest")
    )


def test_tables_that_no_marker_can_be_in_are_named_up_to_three() -> None:
    assert closing_words.unmarkable(["public.a"]) == (
        "rows of public.a: no column could hold a marker (run --any counts all new rows)"
    )
    assert closing_words.unmarkable([f"public.{name}" for name in "abcde"]).startswith(
        "rows of public.a, public.b, public.c and 2 more tables: no column"
    )
