"""A count beside somebody who drops or copies its database: it leaves, and goes on or says that it can't."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.errors import NoSlotError, NotCheckedError, PgwatchError
from pgwatch_tests.leaks.baseline import baseline_file
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.leaks.scan import LeakScan
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.sessions import yielding_session
from pgwatch_tests.postgres.sessions.lookout import LIMITS, Lookout
from pgwatch_tests.postgres.sessions.session import OTHERS_WAIT_S, DatabaseSession, GaveWayError
from pgwatch_tests.reports.leaks import leak_json, leak_table
from pgwatch_tests.reports.sweeps import sweep_json, sweep_table
from pgwatch_tests.settings.load import Dsn, MarkerSetting, Settings
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from tests.cli.running import environment
from tests.servers.server_places import server_directory
from tests.waiting import PATIENCE_S, wait_until

# Long values that take little space: one statement that reads them all takes far longer than a test may.
_SLOW = """
    CREATE TABLE slow (body text);
    INSERT INTO slow VALUES (repeat('x ', 100000));
"""
_DOUBLE = "INSERT INTO slow SELECT body FROM slow"
_DOUBLINGS = 14
COPY: LiteralString = "CREATE DATABASE other TEMPLATE app"
ALONE: tuple[LiteralString, ...] = (COPY, "ALTER DATABASE app RENAME TO other", "DROP DATABASE app")


@pytest.fixture(scope="module")
def slow_server(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server with the database `slow`, to copy, whose count takes long."""
    with EmbeddedServer(programs, server_directory(), {}, template) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("CREATE ROLE plain LOGIN")
            admin.execute("CREATE DATABASE slow")
            admin.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
        with psycopg.connect(server.dsn("slow"), autocommit=True) as inside:
            inside.execute(_SLOW)
            for _ in range(_DOUBLINGS):
                inside.execute(_DOUBLE)
            inside.execute("CREATE TABLE users AS SELECT 'a@test.example.com' AS email")
            inside.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO plain")
        yield server


@pytest.fixture
def own_server(slow_server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The server, with a database `app` whose count takes long, and a role that may connect only there."""
    with psycopg.connect(slow_server.dsn(), autocommit=True) as admin:
        admin.execute("ALTER ROLE plain CONNECTION LIMIT -1")
        admin.execute("CREATE DATABASE app TEMPLATE slow")
    yield slow_server
    with psycopg.connect(slow_server.dsn(), autocommit=True) as admin:
        for name in ("app", "other"):
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@pytest.fixture
def admin(own_server: EmbeddedServer) -> Iterator[Connection[TupleRow]]:
    with psycopg.connect(own_server.dsn(), autocommit=True) as connection:
        yield connection


def settings(server: EmbeddedServer, user: str) -> Settings:
    marker = MarkerSetting("test email", r"[a-z]+@test\.example\.com", regex=True, inside=True)
    return Settings(dsn=Dsn(server.dsn("app", user), "the test"), markers=(marker,))


class Counting:
    """A scan in a thread."""

    def __init__(self, settings: Settings) -> None:
        self._scan = LeakScan(settings)
        self.report: LeakReport | None = None
        self.error: PgwatchError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.report = self._scan.run()
        except PgwatchError as error:
            self.error = error

    def end(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def is_counting(admin: Connection[TupleRow]) -> bool:
    query = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = 'app' AND state = 'active' AND query LIKE '%slow%'"
    )
    return admin.execute(query).fetchone() is not None


@pytest.mark.parametrize("user", ["postgres", "plain"], ids=["outside", "inside"])
def test_a_count_leaves_for_a_copy_and_goes_on(
    own_server: EmbeddedServer, admin: Connection[TupleRow], user: str
) -> None:
    """Whether it looks out for others from the maintenance database, or can only from within."""
    counting = Counting(settings(own_server, user))
    wait_until(lambda: is_counting(admin), message="the long count runs")
    admin.execute(COPY)
    with psycopg.connect(own_server.dsn("app"), autocommit=True) as inside:
        inside.execute("TRUNCATE slow")
    counting.end()
    report = counting.report
    assert report is not None, counting.error
    assert (report.total, report.complete, len(report.away_s)) == (1, True, 1)
    assert "Left the database once, " in leak_table.table(report)
    assert '"times": 1' in leak_json.document(report)


def test_a_preview_of_a_sweep_goes_on_and_says_so(
    own_server: EmbeddedServer, admin: Connection[TupleRow]
) -> None:
    sweep = Sweep(
        replace(settings(own_server, "postgres"), test_databases=("app",)), SweepRequest(min_age_s=0.0)
    )
    with ThreadPoolExecutor() as threads:
        previewing = threads.submit(sweep.run)
        wait_until(lambda: is_counting(admin), message="the search for marked rows runs")
        admin.execute(COPY)
        with psycopg.connect(own_server.dsn("app"), autocommit=True) as inside:
            inside.execute("TRUNCATE slow")
        report = previewing.result(PATIENCE_S)
    assert (report.planned_rows, report.complete, len(report.away_s)) == (1, True, 1)
    assert "Left the database once, " in sweep_table.table(report)
    assert '"times": 1' in sweep_json.document(report)


def test_a_baseline_goes_on_and_says_so(
    own_server: EmbeddedServer, admin: Connection[TupleRow], home: Path
) -> None:
    arguments = ["baseline", "--content", "-o", "baseline.json", "--dsn", own_server.dsn("app")]
    with subprocess.Popen(
        [sys.executable, "-m", "pgwatch_tests", *arguments],
        cwd=home,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as taking:
        wait_until(lambda: is_counting(admin), message="the tables are hashed")
        admin.execute(COPY)
        with psycopg.connect(own_server.dsn("app"), autocommit=True) as inside:
            inside.execute("TRUNCATE slow")
        _, told = taking.communicate(timeout=PATIENCE_S)
    assert taking.returncode == 0, told
    assert "pgwatch-tests: Left the database once, " in told
    assert len(baseline_file.load(home / "baseline.json").away_s) == 1


@pytest.mark.parametrize("alone", ALONE[1:])
def test_a_count_of_what_is_gone_is_no_count(
    own_server: EmbeddedServer, admin: Connection[TupleRow], alone: LiteralString
) -> None:
    counting = Counting(settings(own_server, "postgres"))
    wait_until(lambda: is_counting(admin), message="the long count runs")
    admin.execute(alone)
    counting.end()
    assert counting.report is None
    assert isinstance(counting.error, NotCheckedError)
    assert "not checked: app was dropped or altered during the scan: " in str(counting.error)


def test_a_database_made_anew_is_another_one(own_server: EmbeddedServer, admin: Connection[TupleRow]) -> None:
    counting = Counting(settings(own_server, "postgres"))
    wait_until(lambda: is_counting(admin), message="the long count runs")
    admin.execute("DROP DATABASE app")
    admin.execute("CREATE DATABASE app")
    counting.end()
    assert counting.report is None
    # As it comes back before it is there again, or after.
    assert str(counting.error).startswith("not checked: app was ")


def test_a_session_that_is_idle_between_statements_leaves_too(
    own_server: EmbeddedServer, admin: Connection[TupleRow]
) -> None:
    session = DatabaseSession(settings(own_server, "postgres"), read_only=False)
    try:
        session.open()
        session.execute(b"SELECT 1")
        admin.execute("DROP DATABASE app")
        with pytest.raises(GaveWayError, match="left app, which is being dropped, altered or copied"):
            session.execute(b"SELECT 1")
    finally:
        session.close()


def test_a_server_that_says_nothing_isnt_a_database_that_is_wanted(own_server: EmbeddedServer) -> None:
    with connect(Dsn(own_server.dsn("app"), "the test"), LIMITS, connect_timeout_s=10) as beside:
        assert beside.place is not None
        lookout = Lookout(Dsn(own_server.dsn("app"), "the test"), beside, beside.place.oid)
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            assert lookout.is_wanted() is None
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        wait_until(lambda: lookout.is_wanted() is False)
        lookout.close()


def test_with_a_single_connection_it_looks_between_statements(
    own_server: EmbeddedServer, admin: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back once its connection is free: until then, somebody else has the role's only one."""
    refused = threading.Event()

    def connected(*arguments: object, **options: object) -> OwnConnection:
        try:
            return connect(*arguments, **options)  # type: ignore[arg-type]
        except NoSlotError:
            refused.set()
            raise

    admin.execute("ALTER ROLE plain CONNECTION LIMIT 1")
    session = DatabaseSession(settings(own_server, "plain"))
    with ThreadPoolExecutor() as threads, closing(session):
        session.open()
        admin.execute("ALTER ROLE plain CONNECTION LIMIT 0")
        monkeypatch.setattr(yielding_session, "connect", connected)
        asking = threads.submit(_execute_until_away, session)
        admin.execute(COPY)
        assert refused.wait(PATIENCE_S)
        admin.execute("ALTER ROLE plain CONNECTION LIMIT 1")
        asking.result(PATIENCE_S)
        assert len(session.away_s) == 1


def test_its_lookout_leaves_with_it(
    own_server: EmbeddedServer, admin: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that connects within the database just as the session leaves has the role's only connection."""
    session = DatabaseSession(settings(own_server, "plain"))
    is_wanted, looks = Lookout.is_wanted, 0

    def look(lookout: Lookout) -> bool | None:
        nonlocal looks
        looks += 1
        if looks == 1:
            wait_until(session._leaving.is_set, 60)
            wait_until(lambda: is_wanted(lookout) is False or session.away_s, 60)
            return False
        return is_wanted(lookout)

    admin.execute("ALTER ROLE plain CONNECTION LIMIT 1")
    monkeypatch.setattr(Lookout, "is_wanted", look)
    with ThreadPoolExecutor() as threads, closing(session):
        session.open()
        asking = threads.submit(_execute_until_away, session)
        admin.execute(COPY)
        asking.result(PATIENCE_S)
        assert len(session.away_s) == 1


def test_a_count_over_its_only_connection_leaves_for_a_copy(
    own_server: EmbeddedServer, admin: Connection[TupleRow]
) -> None:
    admin.execute("ALTER ROLE plain CONNECTION LIMIT 1")
    counting = Counting(settings(own_server, "plain"))
    wait_until(lambda: is_counting(admin), message="the long count runs")
    admin.execute(COPY)
    with psycopg.connect(own_server.dsn("app"), autocommit=True) as inside:
        inside.execute("TRUNCATE slow")
    counting.end()
    report = counting.report
    assert report is not None, counting.error
    assert (report.total, report.complete, len(report.away_s), report.in_the_way_s) == (1, True, 1, 0)


def test_a_long_statement_of_a_single_connection_is_told(
    own_server: EmbeddedServer, admin: Connection[TupleRow]
) -> None:
    """Nothing looks for others meanwhile; with a second session, something does."""
    statement = f"SELECT pg_catalog.pg_sleep({OTHERS_WAIT_S + 0.5})".encode()
    sessions = []
    for user in ("plain", "postgres"):
        sessions.append(DatabaseSession(settings(own_server, user)))
        admin.execute("ALTER ROLE plain CONNECTION LIMIT 1")
        sessions[-1].open()
    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda session: session.execute(statement), sessions))
        single, other = (session.in_the_way_s for session in sessions)
        assert single >= OTHERS_WAIT_S
        assert other == 0
    finally:
        for session in sessions:
            session.close()


def _execute_until_away(session: DatabaseSession) -> None:
    """Runs short statements until the session has been away."""
    until_s = time.monotonic() + PATIENCE_S
    while not session.away_s and time.monotonic() < until_s:
        session.execute(b"SELECT pg_catalog.pg_sleep(0.05)")
