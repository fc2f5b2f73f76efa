"""Findings of the pytest plugin, there and back, and which of them a check for leaks has as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pgwatch_tests.record.model import LeakEvent
from pgwatch_tests.record.plugin_findings import (
    PluginFinding,
    PluginSessions,
    besides,
    leaked_rows,
    other_findings,
    read_findings,
    write_findings,
)

LEFT = PluginFinding("rows", "a.py::b", True, "left 2 rows in public.users", "delete", ("public.users",), 2)
OF_FIXTURE = PluginFinding(
    "rows", "fixture f [session]", False, "left 1 row in public.x", "", ("public.x",), 1
)
OF_NOBODY = PluginFinding("lost_rows", "", False, "3 rows are gone\udcff")


def test_what_sessions_found_comes_back(tmp_path: Path) -> None:
    assert read_findings(tmp_path) is None

    write_findings(tmp_path, "1a", [LEFT, OF_FIXTURE], ["no privilege"])
    write_findings(tmp_path, "2b", [OF_NOBODY], ["no privilege"])
    (tmp_path / "2b-gw0-17.journal").touch()
    both = PluginSessions((LEFT, OF_FIXTURE, OF_NOBODY), ("no privilege",))
    assert read_findings(tmp_path) == both

    (tmp_path / "3c-main-18.journal").touch()
    (tmp_path / "4d.findings").write_text('{"findings": [{"kind": "rows"}], "not_checked": []}')
    (tmp_path / "4d-main-19.journal").touch()
    assert read_findings(tmp_path) == PluginSessions(both.findings, both.not_checked, unfinished=2)


def test_rows_are_counted_once_whoever_has_seen_them() -> None:
    table = LEFT.tables[0]
    assert leaked_rows({}, [LEFT, LEFT]) == {table: 2 * LEFT.rows}
    assert leaked_rows({table: 1}, [LEFT]) == {table: max(1, LEFT.rows)}
    assert leaked_rows({table: 100, "public.other": 3}, [LEFT]) == {table: 100, "public.other": 3}
    assert leaked_rows({}, [replace(LEFT, kind="blocked")]) == {}


def test_what_isnt_about_rows_is_counted_apart() -> None:
    waited = replace(LEFT, kind="blocked")
    assert other_findings([LEFT, waited, waited]) == "2 other findings in 1 test"
    assert other_findings([replace(waited, is_test=False)]) == "1 other finding"
    assert other_findings([LEFT]) == ""


@pytest.mark.parametrize(
    ("leak", "is_told"),
    [
        (LeakEvent("rows", "public.users", 2, "a.py::b", "transaction"), False),
        (LeakEvent("rows", "public.users", 1, "a.py::b", "transaction"), True),
        (LeakEvent("rows", "public.users", 2, "a.py::c", "transaction"), True),
        (LeakEvent("rows", "public.users", 2, "", "unknown"), True),
        (LeakEvent("rows", "public.users", 2, "a.py::b", "1 of N", ("a.py::b", "a.py::c")), True),
        (LeakEvent("rows", "public.invoices", 2, "a.py::b", "transaction"), True),
        (LeakEvent("schema", "public.users", 2, "a.py::b", "marker"), True),
    ],
)
def test_rows_that_a_check_puts_down_to_the_same_test_arent_told_twice(
    leak: LeakEvent, is_told: bool
) -> None:
    assert besides([LEFT, OF_NOBODY], [leak]) == ([LEFT] if is_told else []) + [OF_NOBODY]
