"""Recordings made from values, without a server: a small suite in whose half minute much goes wrong.

0 s    four workers run tests, each about 2 s
3 s    gw0's `test_books` leaves a transaction open that has row 42 of `bookings`; until 7.5 s
4 s    gw1's `test_cancels` waits for that row, for 3.5 s
4.6 s  gw2's `test_lists` queues behind it, for 3.2 s
10 s   gw2's and gw3's `test_swaps_…` deadlock over two rows; 1 s later gw3's is the victim
15 s   an application without a name waits for an advisory lock, for 0.6 s
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.leaks.model import Attribution, LeakReport, Leftover, TableLeak
from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import (
    EdgeGroup,
    LockSnapshot,
    LockTag,
    Party,
    Session,
    Subject,
    Wait,
    WaitedLock,
)
from pgwatch_tests.record.model import Mark, RecordingHeader
from pgwatch_tests.record.recording.writer import RecordingWriter

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STARTED = datetime(2026, 3, 1, 11, 59, 30, 123456, tzinfo=UTC)
SECONDS = 20.0
EVERY_S = 0.25
RUN = "0badcafe"
BOOKS = "tests/test_booking.py::test_books"
CANCELS = "tests/test_booking.py::test_cancels"
LISTS = "tests/test_booking.py::test_lists"
SWAPS = ("tests/test_seats.py::test_swaps_a", "tests/test_seats.py::test_swaps_b")
_TEST_S = 2.0


@dataclass(frozen=True, slots=True)
class _Blocked:
    """A wait of the script: who, behind whom, for which row, from when to when."""

    waiter: int
    blockers: tuple[int, ...]
    row: int
    began_s: float
    ended_s: float
    advisory: bool = False


_WAITS = (
    _Blocked(101, (100,), 42, 4.0, 7.5),
    _Blocked(102, (100, 101), 42, 4.6, 7.5),
    _Blocked(102, (103,), 1, 10.0, 11.0),
    _Blocked(103, (102,), 2, 10.1, 11.0),
    _Blocked(104, (105,), 7, 15.0, 15.6, advisory=True),
)


def story(
    began: datetime = BEGAN, started: datetime = STARTED, seconds: float = SECONDS, every_s: float = EVERY_S
) -> Iterator[LockSnapshot]:
    """Yields the settled polls of the script."""
    previous: LockSnapshot | None = None
    for poll in range(int(seconds / every_s) + 1):
        previous = settle(previous, _poll(began, started, poll * every_s))
        yield previous


def make_recording(
    path: Path,
    *,
    began: datetime = BEGAN,
    started: datetime = STARTED,
    seconds: float = SECONDS,
    every_s: float = EVERY_S,
    machine_ahead_s: float = 0.0,
    run: str = RUN,
    shard: str = "",
    command: Sequence[str] = ("pytest", "-n", "4"),
    leaks: LeakReport | None = None,
    marks: Sequence[Mark] = (),
    killed: bool = False,
) -> Path:
    """Writes the script's recording, and returns its path; `killed`: as a kill after a flush leaves it."""
    now_s = 0.0
    header = RecordingHeader(
        began=began, run=run, shard=shard, command=tuple(command), machine="ci-7", account="ci", pid=4711
    )
    writer = RecordingWriter(path, header, clock=lambda: now_s)
    for snapshot in story(began, started, seconds, every_s):
        now_s = (snapshot.sampled_at - began).total_seconds()
        writer.add(snapshot, snapshot.sampled_at.timestamp() + machine_ahead_s)
    for mark in marks:
        writer.mark(mark)
    if leaks is not None:
        writer.add_leaks(leaks)
    if killed:
        writer.flush()
        writer._engine.dispose()
    else:
        writer.close()
    return path


def leak_report(checked_at: datetime = BEGAN + timedelta(seconds=25)) -> LeakReport:
    """A check after the script's suite: two tests left rows, and one a transaction."""
    return LeakReport(
        checked_at=checked_at,
        server_version="18.1",
        database="test_app",
        markers=("%@test.example.com",),
        tables_checked=12,
        tables=(
            TableLeak(
                "public",
                "users",
                "table",
                ("email",),
                5,
                samples=("us…@test.example.com",),
                attribution=(
                    Attribution(BOOKS, "marker", 3),
                    Attribution("", "1 of N", 2, (CANCELS, LISTS)),
                ),
            ),
        ),
        skipped=(),
        duration_s=0.2,
        leftovers=(Leftover("idle_in_transaction", "pid 100", "idle in transaction", 12.0, BOOKS),),
        kinds_checked=("schema", "idle_in_transaction"),
    )


def _poll(began: datetime, started: datetime, at_s: float) -> LockSnapshot:
    waits = [one for one in _WAITS if one.began_s <= at_s < one.ended_s]
    waiting = {one.waiter: one for one in waits}
    sessions = tuple(_session(began, pid, at_s, waiting.get(pid)) for pid in range(100, 106))
    return LockSnapshot(
        sampled_at=began + timedelta(seconds=at_s),
        server_version="18.1",
        database="test_app",
        server="localhost:5432",
        sessions=sessions,
        prepared=(),
        groups=tuple(_group(began, at_s, one) for one in waits),
        spent_s=0.002,
        capacity=Capacity(len(sessions), 100, 3, 12 + len(waits), 6400),
        server_started=started,
        system_identifier="7412345678901234567",
        own_database=1,
    )


def _test(pid: int, at_s: float) -> str:
    """The test that a worker runs at that time."""
    if pid == 100 and 3.0 <= at_s < 7.5:
        return BOOKS
    if pid == 101 and 3.5 <= at_s < 7.6:
        return CANCELS
    if pid == 102 and 4.0 <= at_s < 8.0:
        return LISTS
    if pid in (102, 103) and 9.5 <= at_s < 11.5:
        return SWAPS[pid - 102]
    return f"tests/test_app.py::test_{pid - 100}_{int(at_s / _TEST_S)}"


def _session(began: datetime, pid: int, at_s: float, waits: _Blocked | None) -> Session:
    base = Session(
        pid=pid,
        backend_start=began - timedelta(seconds=5 + pid - 100),
        backend_type="client backend",
        database_oid=16384,
        user_oid=10,
        database="test_app",
        user="app",
        application_name=compose("pytest", f"gw{pid - 100}", _test(pid, at_s)) if pid < 104 else "",
        client="local",
        state="active",
        query="SELECT pg_advisory_lock(7)" if pid >= 104 else "SELECT * FROM bookings WHERE id = $1",
    )
    if pid == 100 and 3.0 <= at_s < 7.5:
        idle = replace(
            base,
            state="idle in transaction",
            wait_event_type="Client",
            wait_event="ClientRead",
            query="UPDATE bookings SET state = 'paid' WHERE id = 42",
        )
        return _aged(idle, at_s, 3.0, 3.05, 3.04)
    if pid == 103 and 11.0 <= at_s < 11.5:
        aborted = replace(
            base,
            state="idle in transaction (aborted)",
            query="UPDATE seats SET taken = true WHERE id = 2",
        )
        return _aged(aborted, at_s, 9.6, 11.0, 10.1)
    if waits is None:
        # Every half a second it runs something; or else has gone on just now.
        since = max(
            [at_s - at_s % 0.5, *(one.ended_s for one in _WAITS if one.ended_s <= at_s and one.waiter == pid)]
        )
        return _aged(replace(base, state="idle"), at_s, None, since, since)
    if waits.advisory:
        return _aged(replace(base, wait_event_type="Lock", wait_event="advisory"), at_s, 15.0, 15.0, 15.0)
    table = "bookings" if waits.row == 42 else "seats"
    base = replace(
        base,
        wait_event_type="Lock",
        wait_event="transactionid",
        query=f"UPDATE {table} SET taken = true WHERE id = {waits.row}",  # noqa: S608  # nobody runs it
    )
    return _aged(base, at_s, waits.began_s - 0.5, waits.began_s, waits.began_s)


def _aged(session: Session, at_s: float, xact: float | None, state: float, query: float) -> Session:
    """The session with the beginnings of its transaction, its state and its statement."""
    return replace(
        session,
        xact_age_s=None if xact is None else at_s - xact,
        state_age_s=at_s - state,
        query_age_s=at_s - query,
    )


def _group(began: datetime, at_s: float, one: _Blocked) -> EdgeGroup:
    if one.advisory:
        tag = LockTag("advisory", 16384, classid=0, objid=one.row, objsubid=1)
        lock = WaitedLock("advisory", "ExclusiveLock", "ExclusiveLock", f"advisory lock {one.row}")
        subject = Subject("advisory", 16384)
    else:
        table, relation = ("bookings", 16400) if one.row == 42 else ("seats", 16410)
        tag = LockTag("transactionid", transactionid=700 + one.blockers[0])
        target = f"row of {table} (id={one.row})"
        lock = WaitedLock("transactionid", "ShareLock", "ExclusiveLock", target, f"row of {table}")
        subject = Subject("row", 16384, (relation,), 0, one.row, transaction=700 + one.blockers[0])
    return EdgeGroup(
        Party(one.waiter),
        tuple(map(Party, one.blockers)),
        "hard",
        lock,
        Wait(one.waiter, f"3/{one.waiter}", tag, lock.mode, began + timedelta(seconds=one.began_s)),
        at_s - one.began_s,
        subject,
    )
