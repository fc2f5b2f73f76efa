"""Sweeps that are killed, or lose their server, in the middle."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection, errors
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.errors import ConnectionLostError, NotCheckedError, RefusedError
from pgwatch_tests.leaks import leftovers
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.model import KeptReason, SweepProgress
from pgwatch_tests.sweep.orphans import sessions
from pgwatch_tests.sweep.orphans.orphan_loop import SweptOrphans
from pgwatch_tests.sweep.plan.survey import Survey, Surveyor
from pgwatch_tests.sweep.request import DEFAULT_SWEEP_KINDS
from tests.servers.server_places import server_directory
from tests.servers.sessions import Connect, Database
from tests.sweep.rows.bookings import (
    REQUEST,
    WHOLE,
    PausingProgress,
    RunningSweep,
    add_users,
    half_users,
    make_tables,
    marked_users,
    settings,
    swept,
)
from tests.waiting import wait_until


@contextmanager
def sweeping(dsn: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun to delete; killed in the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.sweep.sweep_process", dsn],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "sweeping\n"
            yield process
        finally:
            process.kill()


def nobody_sweeps(owner: Connection[TupleRow]) -> bool:
    """Whether the server has noticed that a killed sweep is gone."""
    found = owner.execute(
        "SELECT FROM pg_stat_activity"
        " WHERE application_name = 'pgwatch-tests' AND datname = current_database()"
    )
    return not found.fetchall()


def test_kill_9(owner: Connection[TupleRow], database: Database) -> None:
    make_tables(owner)
    add_users(owner, 1, 2000)
    add_users(owner, 5001, 5010, marked=False)

    with sweeping(database.dsn) as process:
        at = random.randint(WHOLE * 20, WHOLE * 600)
        wait_until(lambda: len(marked_users(owner)) < 2000 - at // WHOLE or process.poll() is not None)
        process.kill()
        process.wait()
    wait_until(lambda: nobody_sweeps(owner))

    left = len(marked_users(owner))
    assert left < 2000
    assert half_users(owner) == []
    assert swept(database.dsn).deleted_rows == left * WHOLE
    assert swept(database.dsn).deleted_rows == 0
    assert half_users(owner) == []
    assert len(owner.execute("SELECT FROM users").fetchall()) == 10


@pytest.mark.parametrize("fast", [True, False], ids=["restarted", "crashed"])
def test_the_server_goes(programs: ServerPrograms, template: Path, fast: bool) -> None:
    # Durability is off for these servers; what is to survive a crash must be written.
    durable = {"fsync": "off", "synchronous_commit": "on", "track_commit_timestamp": "off"}
    with EmbeddedServer(programs, server_directory(), durable, template) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            administrator.execute("CREATE DATABASE test")
        with psycopg.connect(server.dsn("test"), autocommit=True) as owner:
            make_tables(owner)
            add_users(owner, 1, 300)
        paused = PausingProgress()
        everything = replace(REQUEST, kinds=DEFAULT_SWEEP_KINDS, clusters_at_once=50)
        running = RunningSweep(settings(server.dsn("test")), everything, paused)
        paused.wait()
        server.restart(fast)
        paused.release()

        report = running.result()

        assert "connection was lost" in report.error
        assert not report.complete
        with psycopg.connect(server.dsn("test"), autocommit=True) as owner:
            left = len(marked_users(owner))
            assert report.deleted_rows == (300 - left) * WHOLE > 0
            assert half_users(owner) == []
        assert swept(server.dsn("test")).deleted_rows == left * WHOLE
        assert swept(server.dsn("test")).deleted_rows == 0


def test_a_connection_lost_before_anything_went(owner: Connection[TupleRow], database: Database) -> None:
    make_tables(owner)
    add_users(owner, 1, 3)
    owner.execute(
        "CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN OLD; END'"
    )
    owner.execute("CREATE TRIGGER gone BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION gone()")

    with pytest.raises(ConnectionLostError):
        swept(database.dsn)

    assert marked_users(owner) == [1, 2, 3]
    assert half_users(owner) == []


def test_an_administrator_ends_it(owner: Connection[TupleRow], database: Database) -> None:
    make_tables(owner)
    add_users(owner, 1, 100)

    def end(progress: SweepProgress) -> None:
        if progress.rows:
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'pgwatch-tests' AND datname = current_database()"
            )

    report = swept(database.dsn, replace(REQUEST, clusters_at_once=10), end)

    assert report.deleted_rows == 10 * WHOLE
    assert "administrator" in report.error
    assert len(marked_users(owner)) == 90
    assert half_users(owner) == []


def test_a_connection_lost_while_schemas_are_looked_at(
    owner: Connection[TupleRow], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tables(owner)
    add_users(owner, 1, 3)

    def lost(*_: object) -> SweptOrphans:
        raise ConnectionLostError("the connection was lost")

    monkeypatch.setattr("pgwatch_tests.sweep.run.sweep_orphans", lost)
    schemas = replace(REQUEST, kinds=("rows", "schemas"))

    report = swept(database.dsn, schemas)

    assert report.deleted_rows == 3 * WHOLE
    assert report.error == f"the connection was lost (removed by then: {3 * WHOLE} rows)"
    with pytest.raises(ConnectionLostError):
        swept(database.dsn, schemas)


def test_an_error_of_the_server_after_sessions_were_ended(
    owner: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tables(owner)
    add_users(owner, 1, 3)
    monkeypatch.setattr(leftovers, "IDLE_IN_TRANSACTION_AFTER_S", 0.0)
    idle = connect()
    idle.execute("SELECT 1")
    name = f"pid {idle.info.backend_pid}"

    def refuse(*_: object) -> Survey:
        raise errors.InsufficientPrivilege("permission denied for table pg_constraint")

    monkeypatch.setattr(Surveyor, "survey", refuse)
    request = replace(REQUEST, kinds=("rows", "sessions"), min_age_s=0.0)

    report = swept(database.dsn, request)

    assert [one.name for one in report.orphans if one.removed] == [name]
    assert report.error == (
        "the catalogs can't be read: permission denied for table pg_constraint (removed by then: 1 session)"
    )
    assert not report.complete
    with pytest.raises(NotCheckedError, match="nothing was done"):
        swept(database.dsn, request)


def test_more_rows_than_allowed_after_sessions_were_ended(
    owner: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tables(owner)
    add_users(owner, 1, 3)
    monkeypatch.setattr(leftovers, "IDLE_IN_TRANSACTION_AFTER_S", 0.0)
    idle = connect()
    idle.execute("SELECT 1")
    request = replace(REQUEST, kinds=("rows", "sessions"), min_age_s=0.0, max_rows=2)

    report = swept(database.dsn, request)

    assert [one.kind for one in report.orphans if one.removed] == ["sessions"]
    assert report.error == (
        f"{3 * WHOLE} rows would go, but --max-rows allows 2: no row was deleted (removed by then: 1 session)"
    )
    assert report.error_exit_code == RefusedError.exit_code
    assert len(marked_users(owner)) == 3
    with pytest.raises(RefusedError, match=r"no row was deleted$"):
        swept(database.dsn, request)


def test_a_connection_lost_between_two_sessions(
    owner: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tables(owner)
    add_users(owner, 1, 3)
    monkeypatch.setattr(leftovers, "IDLE_IN_TRANSACTION_AFTER_S", 0.0)
    for _ in range(2):
        connect().execute("SELECT 1")
    end, ended = sessions._end, 0

    def lose_second(session: DatabaseSession, one: sessions._Session) -> tuple[KeptReason, str] | None:
        nonlocal ended
        ended += 1
        if ended == 2:
            raise ConnectionLostError("the connection was lost")
        return end(session, one)

    monkeypatch.setattr(sessions, "_end", lose_second)
    request = replace(REQUEST, kinds=("rows", "sessions"), min_age_s=0.0)

    report = swept(database.dsn, request)

    assert [(one.removed, one.reason) for one in report.orphans] == [(True, None), (False, "not_checked")]
    assert report.orphans[1].detail.startswith("the connection was lost: not known whether it was removed")
    assert report.error == "the connection was lost (removed by then: 1 session)"
    assert len(marked_users(owner)) == 3
    assert not report.complete


def test_a_batch_whose_commit_was_not_answered_is_told_as_unknown(
    programs: ServerPrograms, template: Path
) -> None:
    # It waits for a standby that isn't there: committed already, and not answered.
    waits = {
        "synchronous_commit": "on",
        "synchronous_standby_names": "nobody",
        "track_commit_timestamp": "off",
    }
    with (
        EmbeddedServer(programs, server_directory(), waits, template) as server,
        psycopg.connect(
            server.dsn("postgres"), autocommit=True, options="-c synchronous_commit=local"
        ) as administrator,
    ):
        administrator.execute("CREATE DATABASE test")
        with psycopg.connect(
            server.dsn("test"), autocommit=True, options="-c synchronous_commit=local"
        ) as owner:
            make_tables(owner)
            add_users(owner, 1, 20)
            running = RunningSweep(settings(server.dsn("test")), replace(REQUEST, clusters_at_once=10))
            waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            # The server answers a COMMIT whose wait is cancelled.
            wait_until(lambda: owner.execute(f"SELECT pg_cancel_backend(pid) {waiting}").fetchone())
            wait_until(lambda: len(marked_users(owner)) == 10, message="the first batch is gone")
            wait_until(lambda: owner.execute(f"SELECT pg_terminate_backend(pid) {waiting}").fetchone())
            report = running.result()
            gone = 20 - len(marked_users(owner))
    assert (report.deleted_rows, report.error_exit_code, gone) == (10 * WHOLE, 3, 20)
    unknown = f"; whether {10 * WHOLE} more rows went isn't known: the COMMIT wasn't answered"
    assert unknown in report.error
