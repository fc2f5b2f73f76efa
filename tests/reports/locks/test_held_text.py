"""The locks that a session holds, in a line or two."""

from __future__ import annotations

from pgwatch_tests.locks.model import HeldLock
from pgwatch_tests.reports.locks.held_text import held_text
from pgwatch_tests.text.toned_text import text_of


def said(*held: HeldLock) -> str:
    [line] = held_text(held, lambda id_: {"detail": "enter"}[id_]).lines
    return text_of(line)


def test_tables_of_the_strongest_modes_first_and_how_many_more() -> None:
    exclusive = [HeldLock(f"table t{number}", "ACCESS EXCLUSIVE", True) for number in range(3)]
    share = [HeldLock(f"{kind} u", "ROW SHARE", True) for kind in ("index", "table")]
    waits = HeldLock("row of v (id=1)", "EXCLUSIVE", False)
    assert said(waits, *exclusive, *share) == (
        "ACCESS EXCLUSIVE on table t0, table t1, table t2; ROW SHARE on table u and 1 more: enter"
    )


def test_only_indexes_and_none() -> None:
    assert said(HeldLock("index u\x1b", "ACCESS SHARE", True)) == "ACCESS SHARE on index u␛"
    assert said(HeldLock("row of v (id=1)", "EXCLUSIVE", False)) == "no lock"
