from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot, LockTag, Party, Subject, TransactionWait
from tests.locks.snapshots import edge, session, snapshot


def test_a_young_edge_seen_once_is_not_shown() -> None:
    settled = settle(None, snapshot((edge(2, 1, wait_s=0.05),)))
    assert settled.shown_edges == ()
    assert settled.blocked == 0


def test_an_edge_that_is_old_enough_is_shown_at_once() -> None:
    assert settle(None, snapshot((edge(2, 1, wait_s=0.1),))).blocked == 1


def test_an_edge_seen_twice_is_shown_however_young() -> None:
    first = settle(None, snapshot((edge(2, 1, wait_s=0.0),)))
    assert settle(first, snapshot((edge(2, 1, wait_s=0.05),), after_s=0.05)).blocked == 1


def test_another_wait_between_the_same_two_is_another_edge() -> None:
    young = edge(2, 1, wait_s=0.01)
    assert young.wait is not None
    first = settle(None, snapshot((young,)))
    later = replace(young, wait=replace(young.wait, virtualtransaction="3/999"))
    assert settle(first, snapshot((later,), after_s=0.2)).blocked == 0


def test_a_cycle_seen_once_is_probable_and_certain_when_seen_again() -> None:
    cycle = (edge(1, 2), edge(2, 1))
    first = settle(None, snapshot(cycle))
    assert first.deadlocks == ()
    assert first.probable_deadlocks == ((Party(1), Party(2)),)
    second = settle(first, snapshot(cycle, after_s=0.25))
    assert second.deadlocks == ((Party(1), Party(2)),)
    assert second.probable_deadlocks == ()


def test_a_cycle_of_which_one_wait_is_new_is_only_probable() -> None:
    first = settle(None, snapshot((edge(1, 2),)))
    second = settle(first, snapshot((edge(1, 2), edge(2, 1)), after_s=0.25))
    assert second.deadlocks == ()
    assert second.probable_deadlocks == ((Party(1), Party(2)),)


def test_before_14_a_wait_counts_from_the_poll_that_saw_it_first() -> None:
    first = settle(None, snapshot((edge(2, 1, wait_s=None),)))
    second = settle(first, snapshot((edge(2, 1, wait_s=None),), after_s=0.5))
    third = settle(second, snapshot((edge(2, 1, wait_s=None),), after_s=1.5))
    assert first.shown_edges == ()
    assert [one.wait_s for one in third.shown_edges] == [1.5]


def test_before_14_a_wait_keeps_its_age_when_somebody_else_is_in_the_way() -> None:
    first = settle(None, snapshot((edge(3, 1, wait_s=None),)))
    second = settle(first, snapshot((edge(3, 2, wait_s=None),), after_s=0.5))
    third = settle(second, snapshot((edge(3, 2, wait_s=None),), after_s=1.5))
    assert [one.wait_s for one in third.shown_edges] == [1.5]


def queued_then_waiting(blocker: int = 1, xact_age_s: float = 3.25) -> tuple[LockSnapshot, LockSnapshot]:
    """Queued for a row behind somebody; a quarter of a second later, behind the end of a transaction."""
    before = snapshot((edge(2, 1, "soft"),))
    sides = TransactionWait(2, 700)
    after = snapshot(
        (edge(2, blocker, subject=Subject("transaction", sides=sides), tag=LockTag("transactionid")),),
        tuple(replace(session(pid), xact_age_s=xact_age_s) for pid in (1, 2, 3)),
        after_s=0.25,
    )
    return settle(None, before), after


def queued_row(shot: LockSnapshot) -> tuple[int, int, int] | None:
    [group] = shot.groups
    assert group.subject is not None
    assert group.subject.sides is not None
    return group.subject.sides.queued_row


def test_who_was_queued_for_a_row_behind_somebody_waits_for_that_row_still() -> None:
    before, after = queued_then_waiting()
    first = settle(before, after)
    assert queued_row(first) == (16400, 0, 1)
    # And at the poll after that, which doesn't see the queue any more.
    sessions = tuple(replace(one, xact_age_s=4.0) for one in after.sessions)
    later = replace(after, sampled_at=after.sampled_at + timedelta(seconds=0.75), sessions=sessions)
    assert queued_row(settle(first, later)) == (16400, 0, 1)


def test_a_row_is_not_recalled_for_another_blocker_or_transaction() -> None:
    before, after = queued_then_waiting(blocker=3)
    assert queued_row(settle(before, after)) is None
    before, after = queued_then_waiting(xact_age_s=0.1)
    assert queued_row(settle(before, after)) is None
    before, after = queued_then_waiting()
    hidden = tuple(replace(one, xact_age_s=None) for one in after.sessions)
    assert queued_row(settle(before, replace(after, sessions=hidden))) is None
    assert queued_row(settle(None, after)) is None
