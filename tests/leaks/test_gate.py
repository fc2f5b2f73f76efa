from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pgwatch_tests.errors import Verdict
from pgwatch_tests.leaks.gate import (
    ALL_KINDS,
    BESIDE_A_BASELINE,
    DEFAULT_FAIL_ON,
    DEFAULT_KINDS,
    SINCE_KINDS,
    FindingKind,
    Gate,
    findings_named,
    kinds_named,
    tellable,
    verdict,
)
from pgwatch_tests.leaks.model import LeakReport, Leftover, LeftoverKind, Skipped, TableLeak, Unchecked

CLEAN = LeakReport(
    datetime(2026, 1, 1, tzinfo=UTC), "18.1", "app", ("m",), 3, (), (), 0.1, kinds_checked=DEFAULT_KINDS
)


def leaking(rows: int) -> LeakReport:
    return replace(CLEAN, tables=(TableLeak("public", "t", "table", ("c",), rows),))


def left(kind: LeftoverKind) -> LeakReport:
    return replace(CLEAN, leftovers=(Leftover(kind, "x"),))


def unseen(kind: LeftoverKind) -> LeakReport:
    return replace(CLEAN, unchecked=(Unchecked(kind, "not visible: needs pg_monitor"),))


SKIPPED = replace(CLEAN, skipped=(Skipped("public", "s", "locked"),))


def test_the_defaults_are_the_promised_ones() -> None:
    assert DEFAULT_FAIL_ON == ("rows", "schema", "idle_in_transaction", "prepared_transaction")
    others = {"database", "large_object", "unlogged_table", "setting", *SINCE_KINDS}
    assert set(ALL_KINDS) - set(DEFAULT_KINDS) == others


def test_what_a_baseline_makes_telling() -> None:
    for kinds in (ALL_KINDS, BESIDE_A_BASELINE):
        assert tellable(kinds, has_baseline=True, has_content=True) == kinds
        without_content = set(tellable(kinds, has_baseline=True, has_content=False))
        assert without_content == set(kinds) - {"lost_rows"}
        without = set(tellable(kinds, has_baseline=False, has_content=False))
        assert without == set(kinds) - set(SINCE_KINDS)
    for named in ((), ("schema",), DEFAULT_KINDS):
        assert tellable(named, has_baseline=False, has_content=False) == named
    for kind in SINCE_KINDS:
        assert tellable((kind,), has_baseline=True, has_content=False) == (kind,)
        with pytest.raises(ValueError, match=f"{kind} needs a baseline"):
            tellable(("schema", kind), has_baseline=False, has_content=False)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (CLEAN, "clean"),
        (leaking(1), "findings"),
        (left("schema"), "findings"),
        (left("idle_in_transaction"), "findings"),
        (left("prepared_transaction"), "findings"),
        (left("advisory_lock"), "clean"),
        (unseen("idle_in_transaction"), "incomplete"),
        (unseen("advisory_lock"), "clean"),
        (SKIPPED, "incomplete"),
        (replace(leaking(1), skipped=SKIPPED.skipped), "findings"),
        (replace(unseen("schema"), leftovers=left("schema").leftovers), "findings"),
        # Not looked for is not checked.
        (replace(CLEAN, kinds_checked=("schema",)), "incomplete"),
    ],
)
def test_verdict_of_the_default_gate(report: LeakReport, expected: Verdict) -> None:
    assert verdict(Gate(), [report]) == expected


@pytest.mark.parametrize(
    ("fail_on", "report", "expected"),
    [
        (("rows",), left("schema"), "clean"),
        (("rows",), unseen("schema"), "clean"),
        (("schema",), leaking(9), "clean"),
        (("schema",), SKIPPED, "clean"),
        (("advisory_lock",), left("advisory_lock"), "findings"),
        (("advisory_lock",), unseen("advisory_lock"), "incomplete"),
    ],
)
def test_it_fails_on_nothing_else(
    fail_on: tuple[FindingKind, ...], report: LeakReport, expected: Verdict
) -> None:
    assert verdict(Gate(frozenset(fail_on)), [report]) == expected


@pytest.mark.parametrize(("rows", "expected"), [(0, "clean"), (5, "clean"), (6, "findings")])
def test_tolerated_rows(rows: int, expected: Verdict) -> None:
    assert verdict(Gate(max_rows=5), [leaking(rows) if rows else CLEAN]) == expected


def test_rows_of_all_databases_add_up() -> None:
    assert verdict(Gate(max_rows=5), [leaking(3), leaking(3)]) == "findings"
    assert verdict(Gate(max_rows=6), [leaking(3), leaking(3)]) == "clean"


def test_a_database_that_wasnt_reached() -> None:
    assert verdict(Gate(), [CLEAN], all_reached=False) == "incomplete"
    assert verdict(Gate(), [leaking(1)], all_reached=False) == "findings"


@pytest.mark.parametrize("kind", ["rows", *ALL_KINDS])
def test_every_kind_can_be_named(kind: FindingKind) -> None:
    assert findings_named(kind) == (kind,)
    assert findings_named(f" {kind.upper().replace('_', '-')} ,") == (kind,)
    assert kinds_named(kind) == (() if kind == "rows" else (kind,))


def test_lists_of_kinds() -> None:
    assert findings_named("rows,schemas,schema,invalid_indexes") == ("rows", "schema", "invalid_index")
    assert findings_named("all") == ("rows", "unread", *ALL_KINDS)
    assert findings_named("database,default") == ("database", *DEFAULT_FAIL_ON)
    assert (kinds_named("all"), kinds_named("none"), kinds_named("default")) == (ALL_KINDS, (), DEFAULT_KINDS)


@pytest.mark.parametrize("text", ["", ",", "rows,everything", "schema;rows"])
def test_what_names_no_kind(text: str) -> None:
    with pytest.raises(ValueError, match=r"names no kind|known are all, default, rows, unread, schema"):
        findings_named(text)
