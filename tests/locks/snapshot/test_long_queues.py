"""Long queues on a real server: the edges are those of pg_blocking_pids(), of whom few are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg import pq
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.snapshot_query import read
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect_async
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn
from tests.locks.looking import edges_of_server
from tests.servers.server_places import server_directory
from tests.waiting import wait_until

WAITERS = 90
"""More than a queue has that is asked as a whole (queries/locks.sql)."""
_LIMITS = SessionLimits(statement_timeout_s=30.0, lock_timeout_s=0.5, any_bytes=True)

Open = Callable[[], PGconn]


@pytest.fixture
def crowded(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server for a crowd, with a table."""
    settings = {"max_connections": str(WAITERS + 20), "deadlock_timeout": "1h"}
    with EmbeddedServer(programs, server_directory(), settings, template) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as owner:
            owner.execute("CREATE TABLE accounts (id int PRIMARY KEY, balance int)")
            owner.execute("INSERT INTO accounts VALUES (42, 0)")
        yield server


@pytest.fixture
def enter(crowded: EmbeddedServer) -> Iterator[Open]:
    """Opens sessions that nobody has to wait for in a thread."""
    with ExitStack() as stack:

        def opened() -> PGconn:
            session = pq.PGconn.connect(crowded.dsn().encode())
            stack.callback(session.finish)
            return session

        yield opened
        with psycopg.connect(crowded.dsn(), autocommit=True) as killer:
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            )


def run(session: PGconn, *statements: str) -> None:
    for statement in statements:
        answer = session.exec_(statement.encode())
        assert answer.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK), answer.error_message


def queue(dsn: str, sessions: Sequence[PGconn], statement: Callable[[int], str]) -> None:
    """Has them wait, one after the other."""
    with psycopg.connect(dsn, autocommit=True) as observer:
        before = waiters(observer)
        for number, session in enumerate(sessions):
            session.send_query(statement(number).encode())
        wait_until(lambda: waiters(observer) == before + len(sessions), message="all wait")


def waiters(observer: psycopg.Connection) -> int:
    row = observer.execute("SELECT count(*) FROM pg_lock_status() WHERE NOT granted").fetchone()
    assert row is not None
    return int(row[0])


def look(dsn: str) -> tuple[LockSnapshot, int]:
    """A settled poll, and how many the server named the blockers of."""

    async def polled() -> tuple[LockSnapshot, int]:
        connection = await connect_async(Dsn(dsn, "the test"), _LIMITS, connect_timeout_s=10)
        try:
            first = settle(None, await read(connection, "postgres", ""))
            snapshot = settle(first, await read(connection, "postgres", ""))
            cursor = await connection.execute(queries.load("locks"))
            assert cursor.description is not None
            blockers = [column.name for column in cursor.description].index("blockers")
            return snapshot, sum(row[blockers] is not None for row in await cursor.fetchall())
        finally:
            await connection.close()

    return asyncio.run(polled())


def edges_of(snapshot: LockSnapshot) -> set[tuple[int, int]]:
    return {(edge.waiter.pid, edge.blocker.pid) for edge in snapshot.shown_edges}


UPDATE = "UPDATE accounts SET balance = 1 WHERE id = 42"


def test_who_waits_for_a_row(crowded: EmbeddedServer, enter: Open) -> None:
    holder, *sessions = [enter() for _ in range(WAITERS + 1)]
    run(holder, "BEGIN", UPDATE)
    queue(crowded.dsn(), sessions, lambda _: UPDATE)
    snapshot, asked = look(crowded.dsn())
    assert edges_of(snapshot) == edges_of_server(crowded.dsn())
    assert asked < WAITERS / 10
    # Once the first has gone on.
    run(holder, "COMMIT")
    with psycopg.connect(crowded.dsn(), autocommit=True) as observer:
        wait_until(lambda: waiters(observer) == 0, message="all have gone on")
    assert edges_of(look(crowded.dsn())[0]) == set()


def test_who_waits_in_two_modes_behind_several_holders(crowded: EmbeddedServer, enter: Open) -> None:
    holders, sessions = [enter() for _ in range(5)], [enter() for _ in range(WAITERS)]
    for holder in holders:
        run(holder, "SELECT pg_advisory_lock_shared(7)")
    shared = "SELECT pg_advisory_lock_shared(7)"
    queue(crowded.dsn(), sessions, lambda number: shared if number % 9 == 4 else "SELECT pg_advisory_lock(7)")
    snapshot, asked = look(crowded.dsn())
    assert edges_of(snapshot) == edges_of_server(crowded.dsn())
    assert asked < WAITERS / 3


def test_who_has_the_table_in_a_weaker_mode_is_asked(crowded: EmbeddedServer, enter: Open) -> None:
    """Such sessions came when they took the weaker lock: in another order than they queue."""
    holder, *sessions = [enter() for _ in range(WAITERS + 1)]
    run(holder, "BEGIN", "LOCK TABLE accounts IN EXCLUSIVE MODE")
    for session in sessions:
        run(session, "BEGIN", "SELECT 1 FROM accounts")
    backwards = list(reversed(sessions))
    queue(crowded.dsn(), backwards, lambda _: "LOCK TABLE accounts IN EXCLUSIVE MODE")
    snapshot, asked = look(crowded.dsn())
    assert edges_of(snapshot) == edges_of_server(crowded.dsn())
    assert asked == WAITERS
