"""Details of events as rows keep them: JSON, deflated with a dictionary of what they have in common. Pure.

A row's detail is short, and zlib learns nothing from the rows before it. The dictionary is kept in the file,
so that another version's serves as well.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import Final, TypeVar

from pgwatch_tests.record.model import DeadlockEvent, DeadlockMember, RecordedSide, Root, WaitEvent
from pgwatch_tests.record.recording.values import from_json, to_json

T = TypeVar("T")

_LEVEL: Final = 6


def deflated(value: object, dictionary: bytes = b"") -> bytes:
    """A frozen value as a row keeps it."""
    compressor = zlib.compressobj(_LEVEL, zdict=dictionary) if dictionary else zlib.compressobj(_LEVEL)
    return compressor.compress(to_json(value).encode()) + compressor.flush()


def inflated(detail: object, form: type[T], dictionary: bytes = b"") -> T:
    """The value that a row keeps. Raises zlib.error, or one of `values.DAMAGES`."""
    if not isinstance(detail, bytes):
        raise TypeError("a detail is bytes")
    inflater = zlib.decompressobj(zdict=dictionary) if dictionary else zlib.decompressobj()
    return from_json(inflater.decompress(detail), form)


def dictionary() -> bytes:
    """Returns the dictionary of the recordings that this version writes: the likeliest words come last."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    waiter, blocker = (
        RecordedSide(
            pid=pid,
            who=f"tests/test_a.py::test_{pid}",
            name=f"pytest:gw{pid} tests/test_a.py::test_{pid}",
            test=f"tests/test_a.py::test_{pid}",
            runner="pytest",
            worker=f"gw{pid}",
            database="test_app",
            user="app",
            client="local",
            backend="client backend",
            state=state,
            statement=statement,
            in_transaction_since=at,
            in_state_since=at,
        )
        for pid, state, statement in (
            (1, "active", "SELECT * FROM INSERT INTO DELETE FROM UPDATE SET WHERE id = $1 AND"),
            (0, "idle in transaction", "UPDATE SET WHERE id = $1"),
        )
    )
    deadlock = DeadlockEvent(
        at, 1, (DeadlockMember(waiter, "row of (id=", "row of", "SHARE"),), "", "Deadlock: ", ""
    )
    wait = WaitEvent(
        number=1,
        server=1,
        began=at,
        ended=at,
        waited_s=0.25,
        waiter=waiter,
        blockers=(blocker,),
        more_blockers=0,
        roots=(Root(blocker, 0.25),),
        lock="transactionid",
        mode="SHARE",
        held_mode="EXCLUSIVE",
        target="row of (id=",
        object="row of",
        cause="idle_in_transaction",
        explanation=(
            "(idle in transaction for s) holds the lock on row of (id=; has waited s for it. have waited s "
            "for to commit or roll back: both write the same unique key of "
        ),
        advice=(
            "Give each test its own rows. Have the test commit, roll back or close its session before it "
            "ends. To unblock now, end its session (SELECT pg_terminate_backend()): cancelling it does "
            "nothing, for no statement runs."
        ),
    )
    return f"{to_json(deadlock)}{to_json(wait)}".encode()
