"""Two runs on one database: who sees whom, who waits, and what kill -9 frees."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import CannotConnectError, NotCheckedError, RefusedError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.leases import lease_holders, run_lease
from pgwatch_tests.postgres.runs import Announcement, LiveRun, RunRow, live_runs, run_parameters
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.run.database.alone import RunLease
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.ended_leases import noted_ends
from tests.servers.poolers import pooler
from tests.servers.sessions import Database, MakeRole
from tests.waiting import PATIENCE_S, wait_until

HOLD = """
import sys
from datetime import UTC, datetime
from pgwatch_tests.postgres.runs import Announcement
from pgwatch_tests.run.database.alone import RunLease
from pgwatch_tests.settings.load import Dsn, Settings
told = Announcement("0e0e0e0e", "", "shared", datetime.now(UTC), "killed@here", "sleep")
lease = RunLease(Settings(Dsn(sys.argv[1], "test")), told, print)
lease.hold_alone(wait=False)
print("held", flush=True)
sys.stdin.read()
"""


@dataclass
class Run:
    """One run on the database, and what it told."""

    lease: RunLease
    told: list[str] = field(default_factory=list)


class StartRun(Protocol):
    """Makes the lease of a run with that id."""

    def __call__(self, run_id: str, dsn: str = ...) -> Run: ...


@pytest.fixture
def run(database: Database) -> Iterator[StartRun]:
    """Makes the lease of a run with that id."""
    made: list[RunLease] = []

    def make(run_id: str, dsn: str = database.dsn) -> Run:
        told: list[str] = []
        announcement = Announcement(run_id, "", "shared", datetime.now(UTC), "anna@here", f"pytest {run_id}")
        lease = RunLease(Settings(Dsn(dsn, "the test")), announcement, told.append)
        made.append(lease)
        return Run(lease, told)

    yield make
    for lease in made:
        lease.release()


def runs_in(database: Database, role_dsn: str = "") -> tuple[LiveRun, ...]:
    with (
        psycopg.connect(role_dsn or database.dsn, autocommit=True) as connection,
        connection.cursor(row_factory=class_row(RunRow)) as cursor,
    ):
        cursor.execute(queries.load("leases/runs").encode(), run_parameters(database.name))
        return tuple(one for one in live_runs(cursor.fetchall()) if one.is_here)


def test_plain_run_is_seen_and_keeps_others_from_being_alone(
    run: StartRun, database: Database, server: EmbeddedServer, make_role: MakeRole
) -> None:
    first = run("11111111")
    first.lease.keep()
    [seen] = wait_until(lambda: runs_in(database))
    assert (seen.run, seen.mode, seen.who, seen.command) == (
        "11111111",
        "shared",
        "anna@here",
        "pytest 11111111",
    )
    assert seen.databases == (database.name,)
    # Another role, without privileges, sees it in short.
    [short] = runs_in(database, server.dsn(database.name, make_role()))
    assert (short.run, short.who, short.databases) == ("11111111", "anna@here", (database.name,))
    # Its session isn't in the suite's database, and its id is leased.
    with psycopg.connect(server.dsn(), autocommit=True) as outside:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        # That of the look above may still be ending.
        wait_until(lambda: outside.execute(query, [database.name]).fetchone() == (0,), message="no session")
    second = run("22222222")
    with pytest.raises(
        RefusedError, match=rf"{database.name} isn't free: run 11111111, anna@here, for .*--lane"
    ):
        second.lease.hold_alone(wait=False)
    assert [one.run for one in runs_in(database)] == ["11111111"]
    # A shard of the same run isn't another run.
    shard = run("11111111")
    assert shard.lease.hold_alone(wait=False)
    shard.lease.release()
    assert not noted_ends()
    third = run("33333333")
    third.lease.keep()
    [line] = wait_until(lambda: third.told)
    assert line.startswith(f"also at work in {database.name}: run 11111111, anna@here, for ")
    third.lease.release()
    first.lease.release()
    assert second.lease.hold_alone(wait=False)
    assert {one.name for one in noted_ends()} == {run_lease("11111111"), run_lease("33333333")}


def test_run_that_waits_begins_when_the_others_have_ended(run: StartRun, database: Database) -> None:
    first, second, third = run("11111111"), run("22222222"), run("33333333")
    assert first.lease.hold_alone(wait=False)
    begun: list[str] = []

    def wait(one: Run) -> None:
        if one.lease.hold_alone(wait=True):
            begun.append(one.lease.announcement.run)

    threads = [threading.Thread(target=wait, args=(one,)) for one in (second, third)]
    for thread in threads:
        thread.start()
    wait_until(lambda: second.told and third.told)
    assert second.told[0].startswith("waiting for the end of run 11111111, anna@here, for ")
    assert not begun
    first.lease.release()
    wait_until(lambda: len(begun) == 1)
    now = next(one for one in (second, third) if one.lease.announcement.run == begun[0])
    assert [one.mode for one in runs_in(database) if one.run == begun[0]] == ["alone"]
    now.lease.release()
    for thread in threads:
        thread.join()
    assert sorted(begun) == ["22222222", "33333333"]
    late = run("44444444")
    assert not late.lease.hold_alone(wait=True, stopped=lambda: True)
    assert "44444444" not in {one.run for one in runs_in(database)}


def test_kill_of_the_first_frees_the_second(run: StartRun, database: Database, python: str) -> None:
    with subprocess.Popen(
        [python, "-c", HOLD, database.dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        second = run("22222222")
        with pytest.raises(RefusedError, match=r"run 0e0e0e0e, killed@here, for .*, alone: sleep"):
            second.lease.hold_alone(wait=False)
        first.kill()
        assert second.lease.hold_alone(wait=True)
    # What it stood for has to reach its age: nobody has said that it was done.
    assert not noted_ends()


def test_lost_session_is_replaced(run: StartRun, database: Database, owner: Connection[TupleRow]) -> None:
    one = run("11111111")
    assert one.lease.hold_alone(wait=False)
    one.lease.keep()
    [before] = runs_in(database)
    owner.execute("SELECT pg_terminate_backend(%s)", [before.pid])
    [after] = wait_until(lambda: [now for now in runs_in(database) if now.pid != before.pid])
    assert (after.run, after.mode, after.command) == ("11111111", "alone", "pytest 11111111")
    with closing(DatabaseSession(Settings(Dsn(database.dsn, "the test")), read_only=True)) as session:
        session.open()
        assert lease_holders(session, [run_lease("11111111")]) == {run_lease("11111111"): after.pid}


def test_pooler_is_refused_and_a_server_that_is_not_there_holds_nothing_up(
    run: StartRun, database: Database, server: EmbeddedServer
) -> None:
    with pooler(server, "transaction") as between:
        behind = run("11111111", between.dsn(database.name))
        with pytest.raises(RefusedError, match="pooler"):
            behind.lease.hold_alone(wait=True)
        behind.lease.keep()
        wait_until(lambda: "pooler" in behind.lease.trouble)
        assert runs_in(database) == ()
    nowhere = run("22222222", "postgresql://postgres@/none?host=/nonexistent")
    nowhere.lease.keep()
    wait_until(lambda: "cannot connect" in nowhere.lease.trouble)
    with pytest.raises(CannotConnectError):
        nowhere.lease.hold_alone(wait=True)


def test_locked_catalog_is_told_and_holds_nobody_up(
    run: StartRun, database: Database, server: EmbeddedServer
) -> None:
    with psycopg.connect(server.dsn()) as locking:
        one = run("11111111")
        assert one.lease.hold_alone(wait=False)
        locking.execute("LOCK pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE")
        # On a session that is there already: a new one isn't let in.
        with pytest.raises(NotCheckedError, match=r"whether it is free can't be told: .*lock timeout"):
            one.lease.hold_alone(wait=True)


def test_a_server_that_says_nothing_any_more_holds_no_release_up(run: StartRun, database: Database) -> None:
    one = run("0e0e0e0e")
    one.lease.keep()
    wait_until(lambda: one.lease.is_held)
    [live] = wait_until(lambda: runs_in(database))
    os.kill(live.pid, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        one.lease.release(0.3)
        # It would wait for ever.
        assert time.monotonic() - began_s < PATIENCE_S / 2
    finally:
        os.kill(live.pid, signal.SIGCONT)
    wait_until(lambda: not runs_in(database))


def test_release_may_come_while_the_lease_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command may be over before the thread beside it gets to the lease."""
    told = Announcement("0f0f0f0f", "", "shared", datetime.now(UTC), "anna@here", "true")
    lease = RunLease(Settings(Dsn("postgresql://nobody@127.0.0.1:1/none", "the test")), told, print)
    start = threading.Thread.start

    def start_late(thread: threading.Thread) -> None:
        monkeypatch.undo()
        lease.release()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_late)
    lease.keep()
    lease.release()
    assert not lease.is_held
