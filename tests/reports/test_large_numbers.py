"""Large numbers have separators wherever people read them, and none where programs do."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import TypeVar

import pytest

from pgwatch_tests.cli.formats import Format, render_leaks, render_locks, render_sweep
from pgwatch_tests.leaks.gate import Gate
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.reports import doctor_table
from pgwatch_tests.reports.contention import contention_json, contention_table
from pgwatch_tests.reports.locks.lock_tree import header
from pgwatch_tests.reports.sweeps import sweep_history
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.text.numbers import at_least, plural
from tests.locks.snapshots import edge, session, snapshot
from tests.reports.contention.test_contention_reports import hostile_watch
from tests.reports.leaks.test_leak_formats import LEAKING
from tests.reports.sweeps.test_history_reports import ENTRY
from tests.reports.test_doctor_reports import FOUND
from tests.sweep.reports import ACTED, FULL

PLAIN = re.compile(r"(?<![\w,])\d{5,}")
# Names of a thing, not how many there are.
NAMES = {"pid", "oid", "id", "port"}
HUMAN: tuple[Format, ...] = ("table", "markdown", "github")


T = TypeVar("T")


def enlarged(value: T) -> T:
    """The same with 12,345 for every number of something in it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return type(value)(12345)
    if isinstance(value, tuple) and type(value) is tuple:
        return type(value)(enlarged(one) for one in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields: Mapping[str, object] = {
            field.name: enlarged(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.init and field.name not in NAMES
        }
        return dataclasses.replace(value, **fields)
    return value


def test_a_number_and_its_noun() -> None:
    assert [plural(number, "row") for number in (0, 1, 12345)] == ["0 rows", "1 row", "12,345 rows"]
    assert [plural(number, "pass", "passes") for number in (1, 2)] == ["1 pass", "2 passes"]
    assert [at_least(12345, True), at_least(12345, False), at_least(0, False)] == ["12,345", "12,345+", "?"]


@pytest.mark.parametrize("form", HUMAN)
def test_leaks(form: Format) -> None:
    text = render_leaks(form, enlarged(LEAKING), Gate())

    assert "12,345" in text
    assert not PLAIN.findall(text)
    assert '"rows":12345' in render_leaks("json", enlarged(LEAKING), Gate()).replace(" ", "")
    assert "12345" in render_leaks("csv", enlarged(LEAKING), Gate())


@pytest.mark.parametrize("form", ["table", "markdown"])
@pytest.mark.parametrize("report", [FULL, ACTED], ids=["dry", "acted"])
def test_sweeps(form: Format, report: SweepReport) -> None:
    text = render_sweep(form, enlarged(report))

    assert "12,345" in text
    assert not PLAIN.findall(text)


def test_contention() -> None:
    seen = enlarged(hostile_watch("a name"))

    for form in ("table", "markdown"):
        text = contention_table.text(seen, "markdown" if form == "markdown" else "table")
        assert text.count("12,345") >= 6
        assert not PLAIN.findall(text)
    assert json.loads(contention_json.document(seen))["polls"] == 12345


def test_an_examination() -> None:
    text = doctor_table.text(enlarged(FOUND))

    assert "12,345 of 12,345 connections" in text
    assert not PLAIN.findall(text)


def test_the_history() -> None:
    leaks = dataclasses.replace(ENTRY, action="leaks", leaked_rows=1, leftovers=1)
    for entry in (enlarged(ENTRY), enlarged(leaks)):
        for text in (sweep_history.table([entry], "place"), sweep_history.result_line(entry)):
            assert "12,345" in text
            assert not PLAIN.findall(text)


def test_many_waiters() -> None:
    root = session(7000, state="idle in transaction")
    seen = settle(None, snapshot(tuple(edge(pid, 7000, wait_s=9.0) for pid in range(7001, 8235)), (root,)))

    assert "1,235 sessions" in header(seen)
    forms: tuple[Format, ...] = ("table", "markdown", "github")
    for form in forms:
        text = render_locks(form, seen, 1.0).replace("%2C", ",")
        assert "1,234" in text
        assert not re.findall(r"\b123[3-5]\b", text)
