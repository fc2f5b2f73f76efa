"""A scan ends: when it is told to, when the server does, and when the server says nothing any more."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.errors import CannotConnectError, ConnectionLostError
from pgwatch_tests.leaks.scan import LeakScan, scan
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.sessions import yielding_session
from pgwatch_tests.postgres.sessions.lookout import Lookout
from pgwatch_tests.postgres.sessions.session import DatabaseSession, WorkCancelledError
from pgwatch_tests.settings.load import Dsn, Settings
from tests.leaks.scanning import RunningScan, counting, make_slow_table, settings
from tests.servers.poolers import pooler
from tests.servers.server_places import server_directory
from tests.servers.sessions import Connect, Database
from tests.waiting import PATIENCE_S, wait_until


@pytest.fixture
def observer(connect: Connect) -> Connection[TupleRow]:
    """A superuser's session in the test's database."""
    return connect(autocommit=True)


def sessions(observer: Connection[TupleRow]) -> int:
    row = observer.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'pgwatch-tests' AND datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def running(database: Database, observer: Connection[TupleRow]) -> Iterator[RunningScan]:
    """A scan in the middle of a table that takes minutes."""
    make_slow_table(observer, "slow")
    running = RunningScan(settings(database.dsn))
    wait_until(lambda: counting(observer))
    yield running
    running.scan.cancel()


def test_cancel_ends_the_scan_and_the_statement(running: RunningScan, observer: Connection[TupleRow]) -> None:
    begun = time.monotonic()

    running.scan.cancel()
    cancelled_s = time.monotonic() - begun
    with pytest.raises(WorkCancelledError):
        running.result()

    assert cancelled_s < 10
    assert time.monotonic() - begun < 30
    wait_until(lambda: sessions(observer) == 0, timeout_s=30)


def test_cancel_through_a_pooler_asks_nobody_to_cancel(
    server: EmbeddedServer, database: Database, observer: Connection[TupleRow]
) -> None:
    make_slow_table(observer, "slow")
    with pooler(server, "transaction", pool_size=1) as pooled:
        running = RunningScan(settings(pooled.dsn(database.name)))
        wait_until(lambda: counting(observer))
        cancelled_before = pooled.cancelled()
        running.scan.cancel()
        with pytest.raises(WorkCancelledError):
            running.result()
        with psycopg.connect(pooled.dsn(database.name), autocommit=True) as another:
            assert another.execute("SELECT 1").fetchone() == (1,)
        assert pooled.cancelled() == cancelled_before
        if observer.info.server_version >= 140000:
            wait_until(lambda: sessions(observer) == 0)


def test_cancel_before_it_runs(database: Database) -> None:
    cancelled = LeakScan(settings(database.dsn))
    cancelled.cancel()

    with pytest.raises(WorkCancelledError):
        cancelled.run()


def test_cancel_between_two_statements(database: Database, observer: Connection[TupleRow]) -> None:
    observer.execute("CREATE TABLE t (c text)")

    def cancel(_: int, __: int) -> None:
        cancelled.cancel()

    cancelled = LeakScan(settings(database.dsn), progress=cancel)

    with pytest.raises(WorkCancelledError):
        cancelled.run()


def test_an_ended_session_is_a_lost_connection(running: RunningScan, observer: Connection[TupleRow]) -> None:
    observer.execute("SELECT pg_terminate_backend(%s)", [counting(observer)])

    with pytest.raises(ConnectionLostError, match="the connection was lost: ") as error:
        running.result()

    assert "\n" not in str(error.value)


def test_a_statement_that_an_administrator_cancels(
    running: RunningScan, observer: Connection[TupleRow]
) -> None:
    observer.execute("SELECT pg_cancel_backend(%s)", [counting(observer)])

    (skipped,) = running.result().skipped

    assert skipped.table == "slow"
    assert "timed out" not in skipped.reason


def test_a_server_that_says_nothing_any_more(
    programs: ServerPrograms, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yielding_session, "_GRACE_S", 0.2)
    with EmbeddedServer(programs, server_directory(), {}, template) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as observer:
            make_slow_table(observer, "slow")
            running = RunningScan(settings(server.dsn(), count_timeout_s=1.0))
            backend = wait_until(lambda: counting(observer))
        assert backend is not None
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(ConnectionLostError, match=r"no answer from the server in 1\.2 s"):
                running.result(timeout_s=5)
        finally:
            os.kill(backend, signal.SIGCONT)


def test_cancel_when_the_server_says_nothing_any_more(programs: ServerPrograms, template: Path) -> None:
    with EmbeddedServer(programs, server_directory(), {}, template) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as observer:
            make_slow_table(observer, "slow")
            running = RunningScan(settings(server.dsn()))
            backend = wait_until(lambda: counting(observer))
        assert backend is not None
        os.kill(backend, signal.SIGSTOP)
        try:
            running.scan.cancel()
            with pytest.raises(WorkCancelledError):
                running.result(timeout_s=5)
        finally:
            os.kill(backend, signal.SIGCONT)


def test_no_server() -> None:
    with pytest.raises(CannotConnectError):
        scan(Settings(Dsn("postgresql:///x?host=/nonexistent", "the test")))


def test_the_session_is_bounded_and_can_change_nothing(
    running: RunningScan, observer: Connection[TupleRow]
) -> None:
    row = observer.execute(
        "SELECT application_name, backend_xid IS NULL FROM pg_stat_activity WHERE pid = %s",
        [counting(observer)],
    ).fetchone()

    assert row == ("pgwatch-tests", True)


def test_a_session_that_is_lost_before_the_first_look_needs_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()

    def look(dsn: Dsn, beside: OwnConnection, oid: int) -> Lookout:
        looked.set()
        return Lookout(dsn, beside, oid)

    monkeypatch.setattr(yielding_session, "Lookout", look)
    session = DatabaseSession(settings(database.dsn))
    session.open()
    # An exception of its thread fails the test.
    [keeper] = [one for one in threading.enumerate() if one.name == "session deadline"]
    session.connection.close()

    assert looked.wait(PATIENCE_S)
    session.close()
    keeper.join(PATIENCE_S)
    assert not keeper.is_alive()
