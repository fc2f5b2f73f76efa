"""Blockers by the rows of the query, against a model of the server's queue; few of a long queue are asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.locks.lock_queue import QueuePrefix
from pgwatch_tests.locks.model import EdgeGroup, LockSnapshot
from pgwatch_tests.locks.snapshot.process_row import LockColumns, ProcessRow
from pgwatch_tests.locks.snapshot.snapshot_query import snapshot
from pgwatch_tests.locks.waits import lock_modes

EXCLUSIVE, ROW_EXCLUSIVE, SHARE = "ExclusiveLock", "RowExclusiveLock", "ShareLock"
MODES = ("AccessShareLock", ROW_EXCLUSIVE, SHARE, EXCLUSIVE, "AccessExclusiveLock")
NOW = 1_790_000_000.0
FIRST_WAITER = 100


@dataclass(frozen=True)
class OneLock:
    """One table: who holds it, and who waits for it from the front to the end; pids with modes."""

    holders: Sequence[tuple[int, str]]
    queue: Sequence[tuple[int, str]]

    def hard(self, mode: str) -> list[int]:
        return [pid for pid, held in self.holders if lock_modes.conflict(mode, held)]

    def soft(self, waiter: int) -> list[int]:
        """Those ahead in the queue that want what conflicts, but for those that hold such a lock already."""
        mode = dict(self.queue)[waiter]
        place = [pid for pid, _ in self.queue].index(waiter)
        holding = self.hard(mode)
        return [
            pid
            for pid, wanted in self.queue[:place]
            if lock_modes.conflict(mode, wanted) and pid not in holding
        ]

    def blockers(self, waiter: int) -> list[int]:
        hard = [pid for pid in self.hard(dict(self.queue)[waiter]) if pid != waiter]
        # In the order in which they came: by pid.
        return sorted({*hard, *self.soft(waiter)})

    def edges(self) -> set[tuple[int, int, str]]:
        return {
            (waiter, blocker, "hard" if blocker in self.hard(mode) else "soft")
            for waiter, mode in self.queue
            for blocker in self.blockers(waiter)
        }

    def rows(self, unasked: Sequence[int] = ()) -> Iterator[ProcessRow]:
        yield process(1, server=(NOW, NOW - 60, (100, 3, 6400, 5), None, 0.001))
        locks: dict[int, list[LockColumns]] = {}
        for pid, mode in self.holders:
            locks.setdefault(pid, []).append(lock(pid, mode, True))
        for pid, mode in self.queue:
            locks.setdefault(pid, []).append(lock(pid, mode, False))
        waiters = dict(self.queue)
        for pid, of_pid in locks.items():
            is_asked = pid in waiters and pid not in unasked
            yield process(pid, of_pid, self.blockers(pid) if is_asked else None)


def process(
    pid: int,
    locks: list[LockColumns] | None = None,
    blockers: list[int] | None = None,
    server: tuple[float, float, tuple[int, int, int, int], None, float] | None = None,
) -> ProcessRow:
    return ProcessRow(
        pid=pid,
        gid=b"",
        backend_start=NOW - 60,
        backend_type=b"client backend",
        datid=5,
        usesysid=10,
        application_name=b"a session",
        client_addr=None,
        client_port=-1,
        state=b"active",
        wait_event_type=None,
        wait_event=None,
        xact_age_s=5.0,
        state_age_s=5.0,
        query_age_s=5.0,
        query=b"LOCK TABLE t",
        leader_pid=None,
        blockers=blockers,
        safe_snapshot_blockers=None,
        locks=locks,
        server=server,
    )


def lock(pid: int, mode: str, granted: bool) -> LockColumns:
    tag = "relation", 5, 16400, None, None, None, None, None, None, None
    return (*tag, f"3/{pid}", mode, granted, None if granted else NOW - 5)


def edges_of(shot: LockSnapshot) -> set[tuple[int, int, str]]:
    return {(edge.waiter.pid, edge.blocker.pid, edge.kind) for edge in shot.edges}


def group_of(shot: LockSnapshot, waiter: int) -> EdgeGroup:
    [group] = [group for group in shot.groups if group.waiter.pid == waiter and group.kind == "soft"]
    return group


@st.composite
def mixed_locks(draw: st.DrawFn) -> OneLock:
    """A queue of several modes, in any order; some of it have the lock in another mode."""
    pids = range(FIRST_WAITER, FIRST_WAITER + draw(st.integers(1, 14)))
    queue = [(pid, draw(st.sampled_from(MODES))) for pid in draw(st.permutations(pids))]
    holders = [(pid, draw(st.sampled_from(MODES[:3]))) for pid in range(2, draw(st.integers(2, 5)))]
    upgrading = draw(st.lists(st.sampled_from(pids), unique=True, max_size=3))
    return OneLock([*holders, *((pid, draw(st.sampled_from(MODES[:3]))) for pid in upgrading)], queue)


@given(mixed_locks())
def test_whoever_is_asked_is_blocked_by_whom_the_server_names(one: OneLock) -> None:
    assert edges_of(snapshot(list(one.rows()), "18", "", "")) == one.edges()


@given(st.integers(1, 12), st.integers(8, 30), st.data())
def test_whoever_is_not_asked_is_blocked_as_those_behind_it_say(
    holders: int, waiters: int, data: st.DataObject
) -> None:
    mode = data.draw(st.sampled_from((EXCLUSIVE, "AccessExclusiveLock")))
    pids = range(FIRST_WAITER, FIRST_WAITER + waiters)
    # Others, that wait for another mode, are asked.
    queue = [
        (pid, mode if pid == pids[-1] else data.draw(st.sampled_from((mode, mode, mode, ROW_EXCLUSIVE))))
        for pid in pids
    ]
    one = OneLock([(pid, ROW_EXCLUSIVE) for pid in range(2, 2 + holders)], queue)
    alike = [pid for pid, wanted in queue if wanted == mode]
    unasked = data.draw(st.lists(st.sampled_from(alike), unique=True).map(lambda some: {*some} - {pids[-1]}))
    if len(alike) < 8:
        unasked = set()  # so short a queue is always asked as a whole
    assert edges_of(snapshot(list(one.rows(sorted(unasked))), "18", "", "")) == one.edges()


def test_whoever_was_let_in_ahead_is_told_by_those_who_are_asked() -> None:
    """The order in which they came is 100, 101 …; in the queue 105 is ahead of 103."""
    order = [100, 101, 102, 105, 103, 104, *range(106, 112)]
    one = OneLock([(2, ROW_EXCLUSIVE)], [(pid, EXCLUSIVE) for pid in order])
    unasked = [pid for pid in order if pid not in (103, 105, 111)]
    assert edges_of(snapshot(list(one.rows(unasked)), "18", "", "")) == one.edges()


def test_a_queue_is_kept_once() -> None:
    pids = range(FIRST_WAITER, FIRST_WAITER + 20)
    one = OneLock([(2, ROW_EXCLUSIVE)], [(pid, EXCLUSIVE) for pid in pids])
    for unasked in ((), pids[:-1]):
        shot = snapshot(list(one.rows(unasked)), "18", "", "")
        ahead = [group_of(shot, pid).blockers for pid in pids[1:]]
        assert all(isinstance(blockers, QueuePrefix) for blockers in ahead)
        assert len({id(blockers.queue) for blockers in ahead if isinstance(blockers, QueuePrefix)}) == 1


def test_whoever_nobody_names_any_more_is_not_blocked() -> None:
    pids = range(FIRST_WAITER, FIRST_WAITER + 10)
    before = OneLock([(2, ROW_EXCLUSIVE)], [(pid, EXCLUSIVE) for pid in pids])
    rows = [row._replace(blockers=None if row.pid != pids[-2] else row.blockers) for row in before.rows()]
    shot = snapshot(rows, "18", "", "")
    assert pids[-1] not in {edge.waiter.pid for edge in shot.edges}
    assert edges_of(shot) == {edge for edge in before.edges() if edge[0] != pids[-1]}


def test_a_blocker_without_a_lock_row_is_still_told() -> None:
    pids = range(FIRST_WAITER, FIRST_WAITER + 10)
    one = OneLock([(2, ROW_EXCLUSIVE)], [(pid, EXCLUSIVE) for pid in pids])
    rows = []
    for row in one.rows(pids[:-1]):
        named = row.blockers and [*row.blockers[:5], 99, *row.blockers[5:]]
        rows.append(row._replace(blockers=named))
    found = edges_of(snapshot(rows, "18", "", ""))
    assert found - one.edges() == {(pid, 99, "hard") for pid in pids[4:]}
