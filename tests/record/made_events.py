"""Events of recordings, made by hand: times are seconds after `BEGAN`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pgwatch_tests.record.merging.merged import RecordedRun
from pgwatch_tests.record.model import (
    DeadlockEvent,
    DeadlockMember,
    DeadlockSource,
    RecordedServer,
    RecordedSide,
    Root,
    WaitEvent,
)
from pgwatch_tests.record.run_summary import RunFacts

BEGAN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def server(
    number: int = 1, *, started: float | None = -60.0, system: str | None = "7001", version: str = "18.1"
) -> RecordedServer:
    started_at = None if started is None else at(started)
    return RecordedServer(number, system, started_at, version, "127.0.0.1:5432", "test_app")


def side(pid: int, test: str = "", statement: str = "UPDATE bookings SET state = 'paid'") -> RecordedSide:
    """A session of that pytest test, or one that names none."""
    if not test:
        return RecordedSide(pid, f"pid {pid}", database="test_app", user="app", statement=statement)
    return RecordedSide(
        pid,
        f"gw{pid % 4} {test}",
        f"pytest:gw{pid % 4} {test}",
        test,
        "pytest",
        f"gw{pid % 4}",
        database="test_app",
        user="app",
        backend="client backend",
        state="active",
        statement=statement,
    )


def wait(
    began: float,
    lasted: float,
    waiter: RecordedSide | int = 11,
    blocker: RecordedSide | int = 12,
    *,
    ended: bool = True,
    server: int = 1,
    number: int = 1,
    object: str = "row of bookings",
    target: str = "row of bookings (id=42)",
    mode: str = "ExclusiveLock",
    cause: str = "idle_in_transaction",
    polls: int = 4,
) -> WaitEvent:
    of = side(waiter, f"tests/test_a.py::test_{waiter}") if isinstance(waiter, int) else waiter
    by = side(blocker, f"tests/test_a.py::test_{blocker}") if isinstance(blocker, int) else blocker
    return WaitEvent(
        number=number,
        server=server,
        began=at(began),
        ended=at(began + lasted) if ended else None,
        waited_s=lasted,
        waiter=of,
        blockers=(by,),
        more_blockers=0,
        roots=(Root(by, lasted),),
        lock="transactionid",
        mode=mode,
        held_mode="ExclusiveLock",
        target=target,
        object=object,
        cause=cause,
        explanation=f"{by.who} has been idle in transaction and has locked the {target}.",
        advice="End the transaction of the test before it waits for something else.",
        polls=polls,
    )


def deadlock(
    moment: float,
    *members: RecordedSide,
    source: DeadlockSource = "polls",
    victim: str = "",
    advice: str = "Lock the rows in one order, as by their key.",
    server: int = 1,
) -> DeadlockEvent:
    return DeadlockEvent(
        at(moment),
        server,
        tuple(
            DeadlockMember(one, f"row of bookings (id={one.pid})", "row of bookings", "ShareLock")
            for one in members
        ),
        victim,
        "Each waits for a row that the other has locked.",
        advice,
        source,
    )


def facts(shard: str = "", *, run: str = "0a1b2c3d", exit_code: int | None = 0, pid: int = 7) -> RunFacts:
    return RunFacts(
        run=run,
        shard=shard,
        command=("pytest", "-n", "4"),
        began=BEGAN,
        ended=at(100.0),
        exit_code=exit_code,
        machine="ci-1",
        account="ci",
        pid=pid,
        commit="0123456789abcdef0123456789abcdef01234567",
        branch="main",
    )


def run(
    name: str = "recording.pgwatch",
    waits: Sequence[WaitEvent] = (),
    *,
    servers: Sequence[RecordedServer] | None = None,
    began: float = 0.0,
    until: float = 100.0,
    deadlocks: Sequence[DeadlockEvent] = (),
    facts: RunFacts | None = None,
) -> RecordedRun:
    return RecordedRun(
        name,
        facts,
        (server(),) if servers is None else tuple(servers),
        at(began),
        at(until),
        polls=round((until - began) * 4),
        watched_s=until - began,
        waits=tuple(waits),
        deadlocks=tuple(deadlocks),
    )
