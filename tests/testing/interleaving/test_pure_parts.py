"""Texts, ids, conflicts and random schedules: what needs no server."""

from __future__ import annotations

import random
import secrets
import time
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.testing import Outcome, unique_id
from pgwatch_tests.testing.interleaving.effects import scalars
from pgwatch_tests.testing.interleaving.faults import Fault
from pgwatch_tests.testing.interleaving.schedules.random_schedules import RandomSchedule, odds
from pgwatch_tests.testing.interleaving.schedules.schedule import Schedule, digest, parse
from pgwatch_tests.testing.interleaving.schedules.step import (
    Step,
    is_commit,
    is_no_step,
    is_told_by_locks,
    names_of_run,
    normalised,
    rolls_back,
)
from pgwatch_tests.testing.interleaving.schedules.touch import LOCK_MODES, Touch, conflict, modes, union

TABLE, OTHER = ("relation", "1", "2"), ("relation", "1", "3")
SEQUENCE, KEY = ("sequence", "1", "4"), ("advisory", "1", "0", "7", "1")
READ, LOCK, WRITE = modes("AccessShareLock"), modes("RowShareLock"), modes("RowExclusiveLock")
ALONE = modes("AccessExclusiveLock")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Touch({TABLE: READ}), Touch({TABLE: READ}), False),
        (Touch({TABLE: READ}), Touch({TABLE: WRITE}), False),
        (Touch({TABLE: WRITE}), Touch({TABLE: WRITE}), True),
        (Touch({TABLE: LOCK}), Touch({TABLE: WRITE}), True),
        (Touch({TABLE: LOCK}), Touch({TABLE: READ}), False),
        (Touch({TABLE: WRITE}), Touch({OTHER: WRITE}), False),
        (Touch({TABLE: READ}), Touch({TABLE: ALONE}), True),
        (Touch({TABLE: READ}), Touch(frees={TABLE: WRITE}), True),
        (Touch({TABLE: READ}), Touch(frees={TABLE: LOCK}), False),
        (Touch({TABLE: READ}), Touch(frees={TABLE: READ}), False),
        (Touch({TABLE: LOCK}), Touch(frees={TABLE: LOCK}), True),
        (Touch({TABLE: ALONE}), Touch(frees={TABLE: READ}), True),
        (Touch({OTHER: READ}), Touch(frees={TABLE: WRITE}), False),
        (Touch(frees={TABLE: WRITE}), Touch(frees={TABLE: WRITE}), False),
        (Touch({SEQUENCE: READ}), Touch({SEQUENCE: WRITE}), True),
        (Touch({SEQUENCE: READ}), Touch({SEQUENCE: READ}), False),
        (Touch({KEY: modes("ExclusiveLock")}), Touch({KEY: modes("ExclusiveLock")}), True),
        (Touch({KEY: modes("ShareLock")}), Touch({KEY: modes("ShareLock")}), False),
        (Touch({KEY: modes("ExclusiveLock")}), Touch(frees={KEY: modes("ShareLock")}), True),
        (Touch({OTHER: READ}, begins_snapshot=True), Touch(frees={TABLE: WRITE}), True),
        (Touch({OTHER: READ}, begins_snapshot=True), Touch(frees={TABLE: READ}), False),
        (Touch(is_unknown=True), Touch({TABLE: READ}), True),
        (Touch(is_unknown=True), Touch(), True),
        (Touch(), Touch({TABLE: READ}), False),
    ],
)
def test_what_two_steps_touched_tells_whether_their_order_matters(
    one: Touch, other: Touch, expected: bool
) -> None:
    assert conflict(one, other) is expected
    assert conflict(other, one) is expected


def test_lock_modes_conflict_as_the_manual_says() -> None:
    """The table of the chapter Explicit Locking, by an advisory key, where nothing but modes counts."""
    excluded = {
        mode: [
            other for other in LOCK_MODES if conflict(Touch({KEY: modes(mode)}), Touch({KEY: modes(other)}))
        ]
        for mode in LOCK_MODES
    }
    assert excluded["AccessShareLock"] == ["AccessExclusiveLock"]
    assert excluded["RowShareLock"] == ["ExclusiveLock", "AccessExclusiveLock"]
    assert excluded["RowExclusiveLock"] == list(LOCK_MODES[4:])
    assert excluded["ShareUpdateExclusiveLock"] == list(LOCK_MODES[3:])
    assert excluded["ShareLock"] == ["RowExclusiveLock", "ShareUpdateExclusiveLock", *LOCK_MODES[5:]]
    assert excluded["ShareRowExclusiveLock"] == list(LOCK_MODES[2:])
    assert excluded["ExclusiveLock"] == list(LOCK_MODES[1:])
    assert excluded["AccessExclusiveLock"] == list(LOCK_MODES)


def test_parts_of_a_step_add_up() -> None:
    added = union([Touch({TABLE: READ}), Touch({TABLE: WRITE}, {OTHER: READ}, begins_snapshot=True)])
    assert added == Touch({TABLE: READ | WRITE}, {OTHER: READ}, begins_snapshot=True)
    assert union([]).is_nothing


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "-- nothing",
        "SET x = 1",
        "/* a */ SHOW search_path",
        "begin",
        "START TRANSACTION",
        "ROLLBACK",
        "rollback to savepoint a",
        "SAVEPOINT a",
        "RELEASE a",
        "DISCARD ALL",
        "LISTEN a",
        "SELECT 1",
        "SELECT 1;",
        "select pg_catalog.version()",
        "select current_schema()",
        "\nSELECT\n typname AS name, oid, typarray AS a",
    ],
)
def test_what_touches_nothing_is_no_step(text: str) -> None:
    assert is_no_step(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 11",
        "SELECT 1 FROM a",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "ROLLBACK PREPARED 'a'",
        "COMMIT",
        "SETTLE",
    ],
)
def test_what_may_touch_something_is_a_step(text: str) -> None:
    assert not is_no_step(text)


def test_kinds_of_statements() -> None:
    assert is_commit("  -- so\nCOMMIT")
    assert is_commit("end")
    assert not is_commit("COMMIT PREPARED 'a'")
    assert rolls_back("ABORT")
    assert is_told_by_locks("WITH a AS (SELECT 1) SELECT * FROM a;")
    assert not is_told_by_locks("SELECT 1; DROP TABLE a")
    assert not is_told_by_locks("CREATE TABLE a ()")
    assert not is_told_by_locks("COPY a FROM STDIN")


def test_literals_and_parameters_are_no_part_of_a_pattern() -> None:
    patterns = {
        normalised(text)
        for text in (
            "SELECT a FROM t1 WHERE b = 7 AND c = 'it''s'",
            "SELECT a  FROM t1\nWHERE b = %s AND c = %(c)s",
            "SELECT a FROM t1 WHERE b = $1 AND c = $2",
        )
    }
    assert patterns == {"SELECT a FROM t1 WHERE b = ? AND c = ?"}
    assert normalised("VALUES (1, 2, NULL)") == normalised("VALUES (%s, %s)") == "VALUES (?)"


@pytest.mark.parametrize(
    "name",
    [
        lambda: unique_id("test"),
        lambda: f"t_{secrets.token_hex(6)}1f",
        lambda: f"t{uuid.uuid4().hex}",
        lambda: f"t{time.time_ns()}",
    ],
    ids=["unique_id", "hash", "uuid", "time"],
)
def test_a_name_of_one_run_is_no_part_of_a_pattern(name: Callable[[], str]) -> None:
    def joined(first: str, second: str) -> str:
        return normalised(f'SELECT FROM {first}.slot JOIN "{second}".slot ON id = 7')

    one, other, third = name(), name(), name()
    assert joined(one, one) == joined(other, other) != joined(one, other) == joined(other, third)
    assert one not in joined(one, one)
    assert normalised("SELECT md5(a) FROM shard_1") != normalised("SELECT md5(a) FROM shard_2")


def test_a_name_that_setup_has_made_is_no_part_of_a_pattern() -> None:
    def pattern(world: object, name: str) -> str:
        names = names_of_run(scalars(world))
        return Step(0, "statement", f"LOCK TABLE {name}, a{name}", names=names).pattern

    assert pattern(("x", 3, {"table": "t_1"}), "t_1") != pattern((), "t_1")
    assert pattern("t_1", "t_1").replace("at_1", "at_2") == pattern("t_2", "t_2")
    assert pattern("t", "t") == "LOCK TABLE t, at"


def schedule(*steps: Step) -> Schedule:
    return Schedule(steps, (Outcome(1), Outcome(error=ValueError())), 12, 1, "it is wrong", ((1, 0),))


def test_a_schedule_is_told_and_parsed_again() -> None:
    told = schedule(
        Step(1, "statement", "SELECT\n 'a\x1b[31m'", result="→ a"),
        Step(0, "statement", "ALTER ROLE a PASSWORD 'secret'"),
        Step(0, "commit", "COMMIT"),
    )
    lines = told.text(40).splitlines()

    assert lines[0] == f"schedule {told.id} (12th of 40; replay: --pgwatch-replay {told.id})"
    assert lines[1].endswith("→ a")
    assert "\x1b" not in lines[1]
    assert "secret" not in told.text()
    assert lines[2].endswith("; COMMIT")
    assert lines[3] == "deadlock: B with A; B, which had waited longest, was ended"
    assert lines[4] == "outcome: A 1, B ValueError: it is wrong"
    assert parse(told.id) == ((1, 0, 0), None, digest(told.steps))
    assert parse("BAsBA@00ff") == ((1, 0, 1, 0), Fault(0, 0, "s"), "00ff")
    assert told.letters == "BAA"


@pytest.mark.parametrize(
    ("number", "ordinal"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (22, "22nd")]
)
def test_ordinals(number: int, ordinal: str) -> None:
    assert f"({ordinal} of 99" in Schedule((), (), number, 0).text(99)


def test_an_id_is_the_same_for_other_values_and_another_one_for_other_statements() -> None:
    texts = [f"VALUES ({value})" for value in range(3)]
    ids = {schedule(Step(0, "statement", text)).id for text in texts}
    assert len(ids) == 1
    assert schedule(Step(0, "statement", "VALUES (1) LIMIT 1")).id not in ids


@given(seed=st.integers(0, 10_000))
def test_a_random_schedule_changes_actors_no_more_often_than_its_depth_allows(seed: int) -> None:
    chooser = RandomSchedule(3, 12, 3, random.Random(seed))
    left = [4, 4, 4]
    chosen: list[int] = []
    preempted = 0
    for number in range(12):
        ready = [actor for actor in range(3) if left[actor]]
        picked = chooser.choose(number, ready, chosen[-1] if chosen else None)
        preempted += bool(chosen) and picked != chosen[-1] and chosen[-1] in ready
        left[picked] -= 1
        chosen.append(picked)
    assert preempted <= 2
    assert odds(3, 12, 3) == 1 / 432


def test_random_schedules_meet_a_fault_as_often_as_the_odds_say() -> None:
    """A fault of depth 2: one step of A between the two of B."""
    source, met, n = random.Random(1), 0, 2000
    for _ in range(n):
        chooser, left, chosen = RandomSchedule(2, 4, 2, source), [2, 2], ""
        for number in range(4):
            ready = [actor for actor in range(2) if left[actor]]
            picked = chooser.choose(number, ready, int(chosen[-1]) if chosen else None)
            left[picked] -= 1
            chosen += str(picked)
        met += chosen.startswith("10")
    assert met / n >= odds(2, 4, 2)
