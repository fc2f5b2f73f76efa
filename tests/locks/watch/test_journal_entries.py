"""How long a wait lasted: from its true beginning to the first moment by which it was surely over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.lock_queue import LockQueue
from pgwatch_tests.locks.model import Edge, LockSnapshot, Party, Session
from pgwatch_tests.locks.watch.journal_entries import JournalEntries
from pgwatch_tests.locks.watch.wait_history import WaitHistory
from pgwatch_tests.locks.watch.wait_journal import JournalWait
from tests.locks.snapshots import MOMENT, edge, session, snapshot

AHEAD_S = 100.0
"""This machine's clock is that much ahead of the server's."""
NAME = "pytest:gw12 tests/test_app.py::test_12"


class Watch:
    """Polls, as the sampler makes them, and what its journal tells of them."""

    def __init__(self) -> None:
        self._entries = JournalEntries()
        self._last: LockSnapshot | None = None
        self.history = WaitHistory()

    def poll(
        self,
        at: float,
        *edges: Edge,
        waiter: Session | None = None,
        delay_s: float = 0.0,
        spent_s: float = 0.0,
    ) -> None:
        sessions = () if waiter is None else (waiter,)
        polled = replace(snapshot(edges, sessions, after_s=at), spent_s=spent_s)
        self._last = settle(self._last, polled)
        self.history.add(self._entries.of(self._last, MOMENT.timestamp() + at + AHEAD_S + delay_s))

    def begin(self, at: float) -> None:
        self._entries.begin(here(at))

    def glance(self, at: float) -> None:
        self.history.add([self._entries.of_nothing(here(at))])

    @property
    def blocked_s(self) -> float:
        total = self.history.sum_of(NAME)
        return 0.0 if total is None else round(total.blocked_s, 3)


def here(at: float) -> float:
    return MOMENT.timestamp() + AHEAD_S + at


def waits(began: float, at: float) -> Edge:
    one = edge(12, 11, wait_s=at - began)
    assert one.wait is not None
    return replace(one, wait=replace(one.wait, started=MOMENT + timedelta(seconds=began)))


def waits_before_14() -> Edge:
    return edge(12, 11, wait_s=None)


def waiter(at: float, *, state: float, query: float, transaction: float = -50.0) -> Session:
    """The waiting session at a poll, and since when it is in its state, its statement and its transaction."""
    one = session(12, NAME)
    return replace(one, state_age_s=at - state, query_age_s=at - query, xact_age_s=at - transaction)


def test_a_wait_counts_to_the_end_of_its_statement() -> None:
    watch = Watch()
    watch.poll(1.0, delay_s=0.3)
    watch.poll(2.2, waits(1.5, 2.2), waiter=waiter(2.2, state=1.5, query=1.5))
    assert watch.blocked_s == 0.7
    watch.poll(2.9, waiter=waiter(2.9, state=2.31, query=1.5))
    assert watch.blocked_s == 0.81
    [seen] = watch.history.recent
    assert (round(seen.wait.began, 3), round(seen.seen_at, 3)) == (here(1.5), here(2.31))
    assert seen.by_root == {"pytest:gw11 tests/test_app.py::test_11": pytest.approx(0.81)}


@pytest.mark.parametrize(
    ("session", "blocked_s"),
    [
        # It has run another statement since, and that one runs still, or is over.
        (waiter(2.9, state=2.4, query=2.4), 0.9),
        (waiter(2.9, state=2.8, query=2.4), 0.9),
        # The next transaction began later than the one after it.
        (waiter(2.9, state=2.8, query=2.8, transaction=2.45), 0.95),
        # It goes on in the same statement: nobody knows since when.
        (waiter(2.9, state=1.5, query=1.5), 1.4),
        # The lock table was read a moment before the sessions and the time.
        (waiter(2.9, state=2.19, query=1.5), 0.7),
        (None, 1.4),
        (
            replace(waiter(2.9, state=2.4, query=2.4), state_age_s=None, query_age_s=None, xact_age_s=None),
            1.4,
        ),
    ],
)
def test_a_wait_ended_by_what_the_session_says_at_the_next_poll(
    session: Session | None, blocked_s: float
) -> None:
    watch = Watch()
    watch.poll(2.2, waits(1.5, 2.2), waiter=waiter(2.2, state=1.5, query=1.5))
    watch.poll(2.9, waiter=session)
    assert watch.blocked_s == blocked_s


def test_a_wait_ends_where_the_next_one_of_its_session_begins() -> None:
    watch = Watch()
    statement = waiter(2.2, state=1.5, query=1.5)
    watch.poll(2.2, waits(1.5, 2.2), waiter=statement)
    # Whoever is first in a row's queue waits for the transaction next; it isn't sure yet.
    watch.poll(2.5, waits(2.45, 2.5), waiter=replace(statement, state_age_s=1.0, query_age_s=1.0))
    assert watch.blocked_s == 0.95
    watch.poll(2.8, waits(2.45, 2.8), waiter=replace(statement, state_age_s=1.3, query_age_s=1.3))
    assert watch.blocked_s == 1.3


def test_nobody_waits_while_nobody_looks() -> None:
    watch = Watch()
    watch.poll(2.2, waits(1.5, 2.2))
    watch.poll(9.0)
    assert watch.blocked_s == 0.7


def test_before_14_a_wait_begins_with_its_statement_if_that_came_after_the_last_look() -> None:
    watch = Watch()
    watch.poll(1.0)
    watch.glance(1.25)
    for at in (1.5, 1.75):
        watch.poll(at, waits_before_14(), waiter=waiter(at, state=1.3, query=1.3))
    assert watch.blocked_s == 0.45
    # This one had run for a while when it began to wait.
    watch = Watch()
    watch.poll(1.0)
    watch.glance(1.25)
    for at in (1.5, 1.75):
        watch.poll(at, waits_before_14(), waiter=waiter(at, state=1.1, query=1.1))
    assert watch.blocked_s == 0.25


def test_before_14_a_statement_that_began_while_the_watch_was_prepared_has_waited_since() -> None:
    for began, blocked_s in ((0.1, 1.2), (-0.1, 0.25)):
        watch = Watch()
        watch.begin(0.0)
        for at in (1.05, 1.3):
            watch.poll(at, waits_before_14(), waiter=waiter(at, state=began, query=began))
        assert watch.blocked_s == blocked_s


def test_a_poll_that_took_long_may_show_a_wait_that_is_over_and_miss_one_that_has_begun() -> None:
    watch = Watch()
    watch.poll(1.0, waits(0.5, 1.0), waiter=waiter(1.0, state=0.5, query=0.5), spent_s=0.4)
    # It had gone on while that poll went from the lock table to the time.
    watch.poll(1.6, waiter=waiter(1.6, state=0.8, query=0.8))
    assert watch.blocked_s == 0.5
    watch = Watch()
    watch.poll(1.0, spent_s=0.4)
    for at in (1.25, 1.5):
        watch.poll(at, waits_before_14(), waiter=waiter(at, state=0.7, query=0.7))
    assert watch.blocked_s == 0.8


def test_the_statement_that_waits_isn_t_the_one_after_it() -> None:
    watch = Watch()
    watch.poll(1.0, waits(0.99, 1.0), waiter=waiter(1.0, state=0.98, query=0.98))
    watch.poll(1.2, waits(0.99, 1.2), waiter=waiter(1.2, state=0.98, query=0.98))
    watch.poll(1.5, waiter=waiter(1.5, state=1.4, query=0.98))
    assert watch.blocked_s == 0.41


def test_the_end_of_its_test_ends_a_wait() -> None:
    watch = Watch()
    watch.poll(2.2, waits(1.5, 2.2), waiter=waiter(2.2, state=1.5, query=1.5))
    watch.history.end(NAME, here(0.1))  # its set-up
    watch.history.end(NAME, here(2.3))
    watch.history.end(NAME, here(2.4))
    assert watch.blocked_s == 0.8
    assert round(sum(watch.history.sums()[NAME].by_root.values()), 3) == 0.8
    watch.poll(2.9)  # its connection is closed
    assert watch.blocked_s == 0.8


def test_a_wait_that_goes_on_after_its_test_is_over_counts_on() -> None:
    watch = Watch()
    watch.poll(2.2, waits(1.5, 2.2))
    watch.history.end(NAME, here(2.3))
    watch.poll(2.5, waits(1.5, 2.5))
    assert watch.blocked_s == 1.0
    watch.history.end(NAME, here(30.0))  # long after: what was in between, nobody knows
    assert watch.blocked_s == 1.0


def test_after_a_reconnect_a_known_wait_is_still_the_same() -> None:
    watch = Watch()
    for at in (1.0, 1.25):
        watch.poll(at, waits_before_14())
    watch._last = None
    watch.poll(1.5, waits_before_14())
    [seen] = watch.history.open.values()
    assert round(seen.waited_s, 3) == 0.5


def test_a_long_queue_names_the_holder_and_the_first_in_it() -> None:
    pids = range(20, 60)
    queue = LockQueue([Party(pid) for pid in pids])
    bare = snapshot(tuple(edge(pid, 11) for pid in pids))
    behind = [
        replace(group, kind="soft", blockers=queue.first(place))
        for place, group in enumerate(bare.groups)
        if place
    ]
    entries = JournalEntries().of(settle(None, replace(bare, groups=(*behind, *bare.groups))), here(0.0))
    waits = {one.waiter.pid: one for one in entries if isinstance(one, JournalWait)}
    assert waits.keys() == set(pids)
    for place, pid in enumerate(pids):
        blockers = [side.pid for side in waits[pid].blockers]
        assert blockers == [11, *pids[:place]][: len(blockers)]
        assert len(blockers) + waits[pid].more_blockers == 1 + place
        assert [side.pid for side in waits[pid].roots] == [11]
