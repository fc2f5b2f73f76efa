"""The picture in a failure is that of the wait it failed on: by session and time, and of no other."""

from __future__ import annotations

import pytest

from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.locks.diagnosis.evidence import advice_afterwards
from pgwatch_tests.locks.watch.wait_history import WaitHistory
from pgwatch_tests.locks.watch.wait_journal import JournalWait, Poll, Side, Trouble
from pgwatch_tests.pytest_plugin.blocking.failure_section import Failure, lines_of
from pgwatch_tests.pytest_plugin.blocking.lock_errors import LockError
from pgwatch_tests.pytest_plugin.blocking.words import TestNames

ONE, TWO = "pytest:gw0 tests/a.py::test_one", "pytest:gw1 tests/b.py::test_two"
WAITER = Side(12, TWO, "client backend", "active", "UPDATE users SET name = 'b'", 100.0, 101.0)
HOLDER = Side(11, ONE, "client backend", "idle in transaction", "UPDATE users SET name = 'a'", 95.0, 96.0)
TIMEOUT = LockError("55P03", "canceling statement due to lock timeout", 12)


def wait(number: int = 1, target: str = "row of users (id=42)", **sides: Side) -> JournalWait:
    return JournalWait(
        number,
        sides.get("waiter", WAITER),
        (sides.get("holder", HOLDER),),
        0,
        (sides.get("holder", HOLDER),),
        "transactionid",
        "SHARE",
        "EXCLUSIVE",
        target,
        "users",
        "same_row",
        "Give each test rows of its own. To unblock now, end its session (SELECT pg_terminate_backend(11)).",
        101.0,
    )


def history(*entries: JournalWait | Poll | Trouble) -> WaitHistory:
    seen = WaitHistory()
    seen.add(entries)
    return seen


def told(
    seen: WaitHistory, at: float, *errors: LockError, began: float = 99.0, ran_at: float | None = None
) -> list[str]:
    return lines_of(seen, TestNames(), Failure(TWO, began, at, errors, ran_at))


def test_the_wait_just_before_is_told_with_all_of_its_holder() -> None:
    lines = told(history(wait(), Poll(101.2, {1: 0.2}), Poll(101.9, {1: 0.9})), 102.0, TIMEOUT)
    assert lines[0] == "canceling statement due to lock timeout (55P03):"
    assert lines[1] == (
        "tests/b.py::test_two (gw1, pid 12) had waited 0.9 s for row of users (id=42) behind "
        "tests/a.py::test_one (gw0, pid 11), 0.1 s before."
    )
    text = "\n".join(lines[2:])
    assert "lock: SHARE on transactionid; EXCLUSIVE is held" in text
    assert "it waited in: UPDATE users SET name = 'b'" in text
    assert "holder: tests/a.py::test_one (gw0, pid 11), idle in transaction for 6.0 s" in text
    assert "(7.0 s)" in text
    assert "it ran last: UPDATE users SET name = 'a'" in text
    assert text.endswith("advice: Give each test rows of its own.")


@pytest.mark.parametrize(
    "later",
    [
        [Poll(102.2, {}), Poll(102.4, {}), Poll(102.6, {})],  # it went on, and worked
        [Poll(105.0, {})],  # over, and that long ago
    ],
)
def test_a_wait_that_is_over_is_not_why_a_query_was_cancelled(later: list[Poll]) -> None:
    seen = history(wait(), Poll(101.2, {1: 0.2}), Poll(102.0, {1: 1.0}), *later)
    cancelled = LockError("57014", "canceling statement due to statement timeout", 12)
    [line] = told(seen, later[-1].at + 0.1, cancelled)
    assert line.startswith("Not why it failed, as far as is known: earlier it was blocked for 1.0 s by")


def test_a_poll_that_is_late_takes_nothing_from_the_last_picture() -> None:
    seen = history(wait(), Poll(101.2, {1: 0.2}))
    lines = told(seen, 104.2, TIMEOUT)
    assert lines[1].endswith("behind tests/a.py::test_one (gw0, pid 11), 3.0 s before.")


def test_another_session_of_the_test_is_not_that_of_the_error() -> None:
    seen = history(wait(), Poll(101.9, {1: 0.9}))
    lines = told(seen, 102.0, LockError("55P03", "could not obtain lock", 99))
    assert "no poll saw this wait" in lines[0]
    # That it waited as well is told, by itself.
    assert lines[1].startswith("tests/b.py::test_two (gw1, pid 12) had waited")


def test_a_wait_of_the_attempt_before_is_none_of_this_one() -> None:
    seen = history(wait(), Poll(101.9, {1: 0.9}))
    assert told(seen, 102.0, began=101.95) == []


def test_whoever_sat_idle_for_too_long_hears_whom_it_held_up() -> None:
    held_up = wait(waiter=Side(21, ONE, state="active"), holder=Side(12, TWO, state="idle in transaction"))
    ended = LockError("25P03", "terminating connection due to idle-in-transaction timeout", None)
    lines = told(history(held_up, Poll(101.9, {1: 0.9}), Poll(102.2, {})), 104.0, ended)
    assert lines[0].endswith("(25P03): the test left a transaction open, and did nothing in it.")
    assert "tests/a.py::test_one (gw0, pid 21) waited 0.9 s behind it, for row of users" in lines[1]


def test_a_deadlock_that_no_poll_saw_names_the_sessions_of_the_message() -> None:
    half = history(wait(), Poll(101.2, {1: 0.2}))
    deadlock = LockError("40P01", "deadlock detected", 12, circle=(12, 11))
    lines = told(half, 101.3, deadlock)
    assert lines[0].startswith("deadlock detected (40P01). No two polls saw the circle")
    one, two = "tests/a.py::test_one (gw0, pid 11)", "tests/b.py::test_two (gw1, pid 12)"
    assert f"  {two} waited for {one}" in lines
    assert f"  {one} waited for {two}" in lines
    assert "  it waited in: UPDATE users SET name = 'b'" in lines


def test_sums_split_a_wait_over_its_roots_and_gaps_are_told() -> None:
    seen = history(
        wait(), Poll(101.2, {1: 0.2}), Trouble(101.3, "lost"), Poll(103.3, {1: 2.3}), Poll(103.5, {})
    )
    total = seen.sums()[TWO]
    assert (total.blocked_s, total.waits) == (2.3, 1)
    assert total.by_root == pytest.approx({ONE: 2.3})
    assert seen.unwatched_s == pytest.approx(2.0)
    assert not seen.open


def test_names_are_the_whole_ids_where_these_are_known() -> None:
    names = TestNames()
    names.add(["tests/a.py::test_" + "x" * 80])
    cut = compose("pytest", "gw0", "tests/a.py::test_" + "x" * 80)
    assert len(cut) == 63
    assert names.test(cut) == "tests/a.py::test_" + "x" * 80
    assert names.who(Side(7, "psql")) == "psql (pid 7)"
    assert names.who(Side(0, "two\x1bphase")) == "prepared transaction two␛phase"


def test_advice_afterwards_unblocks_nobody() -> None:
    assert advice_afterwards("Commit it. To unblock now, end its session.") == "Commit it."
    assert advice_afterwards("To unblock now, end its session.") == ""


def test_a_failure_that_is_late_is_that_of_the_wait_if_the_test_ran_nothing_since() -> None:
    polls = [
        Poll(101.9, {1: 0.9}),
        Poll(102.2, {}, {1: 1.0}),
        *(Poll(at, {}) for at in (103.0, 104.0, 105.0)),
    ]
    seen = history(wait(), *polls)
    late = told(seen, 106.0, TIMEOUT, ran_at=100.9)
    assert "had waited 1.0 s for row of users (id=42)" in late[1]
    assert "no poll saw this wait" in told(seen, 106.0, TIMEOUT, ran_at=102.5)[0]
    assert "no poll saw this wait" in told(seen, 106.0, TIMEOUT)[0]
