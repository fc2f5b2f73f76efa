"""Generated polls of a busy suite: every session has gone on since the poll before. No server.

Workers run one test after the other, each with a few sessions; a statement takes some milliseconds, with the
client's own work between two of them; now and then a session waits behind another one's transaction.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pgwatch_tests.identity.application_name import compose
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

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_STATES = ("active", "idle in transaction", "idle")
_EVENTS = {
    "active": ((None, None), ("IO", "WALSync"), ("LWLock", "WALWrite"), ("IO", "DataFileRead")),
    "idle in transaction": (("Client", "ClientRead"),),
    "idle": (("Client", "ClientRead"),),
}


@dataclass(frozen=True, slots=True)
class Busy:
    """How busy it is. Durations are seconds."""

    sessions: int = 50
    workers: int = 8
    every_s: float = 0.25
    test_s: float = 5.0
    statement_s: float = 0.25
    """Between the beginnings of two statements of a session, on average."""
    literals: float = 0.05
    """The part of the statements that no other one is the same as."""
    waits_per_s: float = 0.2
    wait_s: float = 0.8


@dataclass(frozen=True, slots=True)
class _Doing:
    """What a session does, and since when."""

    state: str
    event: tuple[str | None, str | None]
    query_s: float
    state_s: float
    transaction_s: float | None
    query: str = "UPDATE table_1 SET n = n + 1 WHERE id = $1"


class BusySuite:
    """The suite; the same one for the same seed."""

    def __init__(self, busy: Busy, seed: int = 1) -> None:
        self._busy = busy
        self._random = random.Random(seed)
        self._tables = [f"table_{number}" for number in range(40)]
        self._statements = [self._statement() for _ in range(250)]
        self._tests = [
            f"tests/{area}/test_{area}_{file}.py::test_{verb}_{noun}_{number}"
            for area in ("booking", "billing", "users", "search")
            for file in ("api", "model", "views")
            for verb in ("creates", "cancels", "lists", "updates")
            for noun in ("order", "invoice", "account")
            for number in range(10)
        ]
        self._test_of = [(self._random.choice(self._tests), 0.0)] * busy.workers
        self._doing = [_Doing("idle", ("Client", "ClientRead"), 0.0, 0.0, None)] * busy.sessions
        self._waits: list[tuple[int, int, float, float, int]] = []

    def polls(self, seconds: float) -> Iterator[LockSnapshot]:
        """Yields settled polls, as a recorder has them."""
        previous: LockSnapshot | None = None
        for number in range(int(seconds / self._busy.every_s)):
            at_s = number * self._busy.every_s + self._random.uniform(0, 0.004)
            previous = settle(previous, self._poll(round(at_s, 6)))
            yield previous

    def _poll(self, at_s: float) -> LockSnapshot:
        busy, draw = self._busy, self._random
        for worker, (_, until_s) in enumerate(self._test_of):
            if at_s >= until_s:
                self._test_of[worker] = draw.choice(self._tests), at_s + draw.expovariate(1 / busy.test_s)
        self._waits = [one for one in self._waits if at_s < one[3]]
        taken = {pid for waiter, blocker, *_ in self._waits for pid in (waiter, blocker)}
        if draw.random() < busy.waits_per_s * busy.every_s:
            free = [pid for pid in range(busy.sessions) if pid not in taken]
            if len(free) > 1:
                waiter, blocker = draw.sample(free, 2)
                began_s = max(0.0, at_s - draw.random() * busy.every_s)
                until_s = began_s + draw.expovariate(1 / busy.wait_s)
                self._waits.append((waiter, blocker, began_s, until_s, draw.randrange(1000)))
        waits = {waiter: began_s for waiter, _, began_s, _, _ in self._waits}
        sessions = tuple(self._session(pid, at_s, waits.get(pid)) for pid in range(busy.sessions))
        return LockSnapshot(
            sampled_at=BEGAN + timedelta(seconds=at_s),
            server_version="18.1",
            database="test_app",
            server="localhost:5432",
            sessions=sessions,
            prepared=(),
            groups=tuple(_group(*one[:3], at_s, one[4]) for one in self._waits),
            spent_s=round(draw.uniform(0.001, 0.004), 6),
            capacity=Capacity(busy.sessions, 200, 3, draw.randrange(300), 12800),
            server_started=BEGAN,
            system_identifier="7412345678901234567",
            own_database=1,
        )

    def _session(self, pid: int, at_s: float, waits_since: float | None) -> Session:
        """The session as it is now: as at the poll before, if it has run nothing since."""
        if waits_since is not None:
            self._doing[pid] = _Doing(
                "active", ("Lock", "transactionid"), waits_since, waits_since, waits_since
            )
        elif self._random.random() < 1 - math.exp(-self._busy.every_s / self._busy.statement_s):
            self._doing[pid] = self._next_statement(at_s)
        doing = self._doing[pid]
        return Session(
            pid=1000 + pid,
            backend_start=BEGAN - timedelta(seconds=pid),
            backend_type="client backend",
            database_oid=16384,
            user_oid=10,
            database="test_app",
            user="app",
            application_name=compose(
                "pytest", f"gw{pid % self._busy.workers}", self._test_of[pid % self._busy.workers][0]
            ),
            client="10.0.0.7:50000",
            state=doing.state,
            wait_event_type=doing.event[0],
            wait_event=doing.event[1],
            xact_age_s=None if doing.transaction_s is None else round(at_s - doing.transaction_s, 6),
            state_age_s=round(at_s - doing.state_s, 6),
            query_age_s=round(at_s - doing.query_s, 6),
            query=doing.query,
        )

    def _next_statement(self, at_s: float) -> _Doing:
        draw, busy = self._random, self._busy
        state = draw.choice(_STATES)
        query_s = at_s - min(busy.every_s, draw.expovariate(1 / busy.statement_s))
        state_s = query_s if state == "active" else query_s + (at_s - query_s) * draw.random()
        transaction_s = None if state == "idle" else query_s - draw.expovariate(20)
        statement = draw.choice(self._statements)
        if draw.random() < busy.literals:
            statement = statement.replace("$1", str(draw.randrange(100_000)))
        return _Doing(state, draw.choice(_EVENTS[state]), query_s, state_s, transaction_s, statement)

    def _statement(self) -> str:
        draw = self._random
        table = draw.choice(self._tables)
        columns = ", ".join(f'"{table}"."column_{number}"' for number in range(draw.randrange(2, 12)))
        return f'SELECT {columns} FROM "{table}" WHERE "{table}"."id" = $1 LIMIT {draw.randrange(1, 30)}'  # noqa: S608  # nobody runs it


def _group(waiter: int, blocker: int, began_s: float, at_s: float, row: int) -> EdgeGroup:
    target = f"row of table_1 (id={row})"
    return EdgeGroup(
        Party(1000 + waiter),
        (Party(1000 + blocker),),
        "hard",
        WaitedLock("transactionid", "ShareLock", "ExclusiveLock", target, "row of table_1"),
        Wait(
            1000 + waiter,
            f"3/{waiter}",
            LockTag("transactionid", transactionid=int(began_s * 100)),
            "ShareLock",
            BEGAN + timedelta(seconds=round(began_s, 6)),
        ),
        round(at_s - began_s, 6),
        Subject("row", 16384, (16400,), 0, row, transaction=int(began_s * 100)),
    )
