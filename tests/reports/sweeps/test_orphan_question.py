"""The question whether a schema or prepared transaction goes says what it is, and never guesses."""

from __future__ import annotations

from dataclasses import replace

from pgwatch_tests.reports.render.detail_text import Labelled
from pgwatch_tests.reports.sweeps import orphan_question
from pgwatch_tests.sweep.model import Orphan
from pgwatch_tests.sweep.orphans.orphan_facts import OrphanFacts, SeenSession
from pgwatch_tests.sweep.request import SweepPart
from tests.sweep.reports import ACTED, NOTHING

SCHEMA = OrphanFacts(
    SweepPart("schemas", "test_gw0\x1b", confirmed="4711"),
    "app_test",
    "ci",
    age_s=7200.0,
    tables=2,
    others=1,
    rows=1200,
    size_bytes=49152,
)
PREPARED = OrphanFacts(
    SweepPart("prepared", "left", confirmed="7 now"),
    "app_test",
    "ci",
    age_s=700.0,
    locks=("public.users", "public.posts"),
)
BUSY = (
    SeenSession(1, "pytest:gw1 tests/a.py::test_b"),
    SeenSession(2, "psql\x07"),
    SeenSession(3, ""),
    SeenSession(4, "more"),
)


def test_a_schema() -> None:
    assert orphan_question.question(SCHEMA) == "Drop the schema test_gw0␛ with all that is in it?"
    assert orphan_question.facts(SCHEMA, "db:5432") == [
        ("database", "app_test on db:5432"),
        ("owner", "ci"),
        ("holds", "2 tables, 1 view or sequence, about 1,200 rows, 48 kB"),
        ("age", "last created or altered 2 h ago"),
        ("locks", "nobody holds a lock in it, nothing elsewhere needs it"),
        ("sessions", "no other session in this database"),
    ]
    assert "No lease named it" in orphan_question.advice(SCHEMA)
    unknown = dict(orphan_question.facts(replace(SCHEMA, age_s=None, size_bytes=None)))
    assert unknown["age"].startswith("not known")
    assert unknown["holds"].endswith("size not known")


def test_sessions_that_may_use_it() -> None:
    def told(**changes: object) -> str:
        return dict(orphan_question.facts(replace(SCHEMA, **changes)))["sessions"]  # type: ignore[arg-type]

    assert told(sessions=1) == "1 other session in this database; its last statement doesn't name it"
    assert told(sessions=5) == "5 other sessions in this database; no last statement names it"
    assert told(sessions=5, users=BUSY) == (
        "5 other sessions in this database; last statement of test_b (pid 1), psql␇ (pid 2), pid 3 and 1 "
        "more names it"
    )
    assert told(sessions=5, hidden=4, users=BUSY[:1]) == (
        "5 other sessions in this database; last statement of test_b (pid 1) names it; statements of 4 "
        "hidden (needs pg_monitor)"
    )


def test_a_prepared_transaction() -> None:
    assert orphan_question.question(PREPARED) == "Roll back the prepared transaction left?"
    assert orphan_question.facts(PREPARED)[2:] == [
        ("prepared", "11 min 40 s ago"),
        ("locks", "public.users, public.posts"),
        ("blocks", "nobody now"),
    ]
    assert "about to commit it" not in orphan_question.advice(PREPARED)
    young = replace(PREPARED, age_s=3.0, locks=(), waiters=BUSY[:1])
    assert orphan_question.facts(young)[3:] == [
        ("locks", "no table"),
        ("blocks", "1 session: test_b (pid 1)"),
    ]
    assert orphan_question.advice(young).endswith("whoever prepared it may be about to commit it.")


def test_what_cant_go_is_told_with_the_reason() -> None:
    title, lines = orphan_question.refusal(replace(SCHEMA, why_not="t is locked by pid 3"))
    assert title == "Schema test_gw0␛ can't be removed now"
    assert isinstance(lines[0], Labelled)
    assert (lines[0].label, lines[0].lines[0][0].text) == ("stays", "t is locked by pid 3")
    assert "locks" not in [one.label for one in lines]


def test_what_came_of_it() -> None:
    report = replace(NOTHING, dry_run=False, part=SCHEMA.part)
    gone = Orphan("schemas", SCHEMA.part.name, removed=True)
    kept = replace(gone, removed=False, reason="locked", detail="t is locked by pid 3")
    assert orphan_question.outcome(replace(report, orphans=(gone,))) == "Schema test_gw0␛ dropped"
    assert orphan_question.outcome(replace(report, orphans=(kept,))) == (
        "Schema test_gw0␛ stays: t is locked by pid 3"
    )
    assert orphan_question.outcome(report) == "Schema test_gw0␛ was gone already"
    # Any other sweep is summed up.
    assert orphan_question.outcome(ACTED).startswith("3 rows of 1 table")
