"""Cancelling, ending, rolling back on a real server: only what was meant, and the truth about it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from pgwatch_tests.config import Dsn, Settings
from pgwatch_tests.demo.embedded import EmbeddedServer, ServerPrograms
from pgwatch_tests.errors import CannotConnectError, ConnectionLostError, RefusedError
from pgwatch_tests.locks.act import ANSWER_DEADLINE_S, act
from pgwatch_tests.locks.action import Action, How, Outcome, SessionAction, on_prepared, on_session
from pgwatch_tests.server.application_name import OWN_NAME
from tests.locks.looking import look
from tests.server_places import server_directory
from tests.sessions import Connect, Database, MakeRole, RunningStatement, blocked, unique_name
from tests.waiting import wait_until

Session = Connection[TupleRow]
FOREVER = "SELECT pg_sleep(600)"


def pid(session: Session) -> int:
    return session.info.backend_pid


def settings(dsn: str) -> Settings:
    return Settings(dsn=Dsn(dsn, "the test"))


def do(dsn: str, action: Action) -> Outcome:
    return asyncio.run(act(settings(dsn), action))


def seen(dsn: str, session: Session, how: How) -> SessionAction:
    """The action on a session, as a look at the server makes it."""
    return on_session(look(dsn), pid(session), how)


def is_there(database: Database, number: int) -> bool:
    with psycopg.connect(database.dsn, autocommit=True) as observer:
        query = "SELECT 1 FROM pg_stat_get_activity(%s::int)"
        return observer.execute(query, [number]).fetchone() is not None


def running(connect: Connect, session: Session, statement: str = FOREVER) -> RunningStatement:
    """Runs a statement on `session`; returns once the server shows it."""
    started = RunningStatement(session, statement, ())
    observer = connect(autocommit=True)
    query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND query = %s"
    wait_until(lambda: observer.execute(query, [started.pid, statement]).fetchone(), message="it runs")
    return started


# Sessions.


def test_a_running_statement_is_cancelled_and_the_session_lives(database: Database, connect: Connect) -> None:
    target = connect("pytest:gw0 t.py::test_slow", autocommit=True)
    statement = running(connect, target)
    outcome = do(database.dsn, seen(database.dsn, target, "cancel"))
    who = f"test_slow (gw0, pid {pid(target)})"
    assert outcome == Outcome("done", f"The statement of {who} was cancelled; the session is idle.")
    with pytest.raises(psycopg.errors.QueryCanceled):
        statement.result()
    assert target.execute("SELECT 1").fetchone() == (1,)


def test_a_cancelled_transaction_frees_those_behind_it(database: Database, connect: Connect) -> None:
    holder, waiter = connect(), connect()
    holder.execute("SELECT pg_advisory_xact_lock(1)")
    statement = running(connect, holder)
    waiting = blocked(waiter, "SELECT pg_advisory_xact_lock(1)")
    outcome = do(database.dsn, seen(database.dsn, holder, "cancel"))
    assert outcome.result == "done"
    assert "idle in transaction (aborted)" in outcome.message
    assert outcome.message.endswith("The session that waited behind it is free.")
    waiting.result()
    with pytest.raises(psycopg.errors.QueryCanceled):
        statement.result()


def test_a_cancel_that_leaves_the_lock_says_so(database: Database, connect: Connect) -> None:
    holder, waiter = connect(autocommit=True), connect()
    holder.execute("SELECT pg_advisory_lock(1)")
    running(connect, holder)
    blocked(waiter, "SELECT pg_advisory_lock(1)")
    outcome = do(database.dsn, seen(database.dsn, holder, "cancel"))
    assert outcome.result == "done"
    assert outcome.message.endswith(
        "The session that waited behind it still waits, behind it. It still holds the lock: end the session."
    )


@pytest.mark.parametrize("state", ["idle", "idle in transaction"])
def test_cancelling_an_idle_session_is_pointless_and_said_so(
    state: str, database: Database, connect: Connect
) -> None:
    target = connect(autocommit=state == "idle")
    target.execute("SELECT 1")
    outcome = do(database.dsn, seen(database.dsn, target, "cancel"))
    assert outcome.result == "refused"
    assert f"A cancel does nothing: client backend (pid {pid(target)}) is {state}." in outcome.message
    assert "End the session instead" in outcome.message
    assert target.execute("SELECT 1").fetchone() == (1,)


def test_a_session_is_ended_and_those_behind_it_are_free(database: Database, connect: Connect) -> None:
    holder, *waiters = (connect() for _ in range(3))
    holder.execute("SELECT pg_advisory_xact_lock(1)")
    waiting = [blocked(waiter, "SELECT pg_advisory_xact_lock_shared(1)") for waiter in waiters]
    outcome = do(database.dsn, seen(database.dsn, holder, "terminate"))
    assert outcome.result == "done"
    assert outcome.message.endswith("has ended. The 2 sessions that waited behind it are free.")
    assert not is_there(database, pid(holder))
    for one in waiting:
        one.result()


def test_who_blocks_the_rest_is_named(database: Database, connect: Connect) -> None:
    connect(autocommit=True).execute("CREATE TABLE t AS SELECT 1 AS n")
    holder, first, second, third = connect(), connect("pytest:gw1 t.py::test_first"), connect(), connect()
    holder.execute("UPDATE t SET n = 2")
    for waiter in (first, second, third):
        blocked(waiter, "UPDATE t SET n = 3")
    outcome = do(database.dsn, seen(database.dsn, holder, "terminate"))
    assert outcome.result == "done"
    assert outcome.message.endswith(
        f"Of 3 sessions behind it 1 is free; 2 still wait, behind test_first (gw1, pid {pid(first)})."
    )


@pytest.mark.parametrize("how", ["cancel", "terminate"])
def test_another_session_with_the_same_pid_is_left_alone(
    how: How, database: Database, connect: Connect
) -> None:
    target = connect(autocommit=True)
    running(connect, target)
    action = seen(database.dsn, target, how)
    assert action.backend_start is not None
    earlier = replace(action, backend_start=action.backend_start - timedelta(microseconds=1))
    outcome = do(database.dsn, earlier)
    assert outcome.result == "refused"
    assert f"pid {pid(target)} belongs to another session now, left alone" in outcome.message
    assert do(database.dsn, action).result == "done"  # it was there to be signalled


def test_a_later_statement_of_the_session_is_left_alone(database: Database, connect: Connect) -> None:
    target = connect(autocommit=True)
    running(connect, target)
    action = seen(database.dsn, target, "cancel")
    assert action.query_start is not None
    earlier = replace(action, query_start=action.query_start - timedelta(milliseconds=2))
    outcome = do(database.dsn, earlier)
    assert outcome.result == "refused"
    assert "had ended already; the session runs another one now" in outcome.message
    assert do(database.dsn, replace(action, query_start=None)).result == "done"


@pytest.mark.parametrize("how", ["cancel", "terminate"])
def test_a_session_that_has_ended(how: How, database: Database, connect: Connect) -> None:
    target = connect()
    action = seen(database.dsn, target, how)
    target.close()
    wait_until(lambda: not is_there(database, action.pid), message="it is gone")
    outcome = do(database.dsn, action)
    assert outcome == Outcome("refused", f"client backend (pid {action.pid}) had ended already.")


def test_our_own_sessions_are_never_signalled(database: Database, connect: Connect) -> None:
    target = connect(autocommit=True)
    action = seen(database.dsn, target, "terminate")
    target.execute(sql.SQL("SET application_name = {}").format(sql.Literal(OWN_NAME)))
    outcome = do(database.dsn, action)
    assert outcome == Outcome(
        "refused", f"pid {pid(target)} is a session of pgwatch-tests itself: left alone."
    )
    with pytest.raises(RefusedError, match="pgwatch-tests itself"):
        seen(database.dsn, target, "terminate")
    assert is_there(database, pid(target))


def test_no_such_session(database: Database) -> None:
    with pytest.raises(RefusedError, match="no session with pid 1"):
        on_session(look(database.dsn), 1, "terminate")


def test_read_only_refuses_before_it_connects(connect: Connect, database: Database) -> None:
    action = seen(database.dsn, connect(), "terminate")
    nowhere = replace(settings("postgresql://127.0.0.1:1/x"), read_only=True)
    with pytest.raises(RefusedError, match="read_only"):
        asyncio.run(act(nowhere, action))
    assert is_there(database, action.pid)


def test_a_session_that_does_not_obey_is_reported_as_still_there(
    database: Database, connect: Connect
) -> None:
    target = connect()
    action = seen(database.dsn, target, "terminate")
    os.kill(action.pid, signal.SIGSTOP)
    try:
        outcome = do(database.dsn, action)
    finally:
        os.kill(action.pid, signal.SIGCONT)
    assert outcome.result == "unconfirmed"
    assert "is still there after 2 s" in outcome.message
    wait_until(lambda: not is_there(database, action.pid), message="it ends once it runs again")


def test_a_statement_that_does_not_end_is_reported_as_running(database: Database, connect: Connect) -> None:
    target = connect(autocommit=True)
    statement = running(connect, target)
    action = seen(database.dsn, target, "cancel")
    os.kill(action.pid, signal.SIGSTOP)
    try:
        outcome = do(database.dsn, action)
    finally:
        os.kill(action.pid, signal.SIGCONT)
    assert outcome.result == "unconfirmed"
    assert "is still running its statement after 2 s" in outcome.message
    with pytest.raises(psycopg.errors.QueryCanceled):
        statement.result()


def test_where_nobody_may_connect_to_the_maintenance_database(
    own_server: EmbeddedServer,
) -> None:
    with psycopg.connect(own_server.dsn("template1"), autocommit=True) as target:
        target.execute("CREATE DATABASE test_own")
        target.execute("ALTER DATABASE postgres ALLOW_CONNECTIONS off")
        action = seen(own_server.dsn("test_own"), target, "terminate")
        assert do(own_server.dsn("test_own"), action).result == "done"
    with psycopg.connect(own_server.dsn("template1"), autocommit=True) as target:
        action = replace(action, pid=pid(target))
        with pytest.raises(CannotConnectError, match='"nonsense" does not exist'):
            do(own_server.dsn("nonsense"), action)


def test_a_session_that_locks_the_catalog_of_its_database(database: Database, connect: Connect) -> None:
    target = connect()
    action = seen(database.dsn, target, "terminate")
    target.execute("LOCK TABLE pg_class IN ACCESS EXCLUSIVE MODE")
    assert do(database.dsn, action).result == "done"


# What a role may do.


@pytest.fixture
def dsn_as(server: EmbeddedServer, database: Database, make_role: MakeRole) -> DsnAs:
    """Makes roles, and their connection strings."""
    return DsnAs(server, database, make_role)


class DsnAs:
    """Makes a role, and the connection string of the test's database for it."""

    def __init__(self, server: EmbeddedServer, database: Database, make_role: MakeRole) -> None:
        self._server = server
        self._database = database
        self._make_role = make_role

    def __call__(self, options: LiteralString = "") -> tuple[str, str]:
        role = self._make_role(options)
        return role, self._server.dsn(self._database.name, role)


def test_the_sessions_of_ones_own_role(connect: Connect, dsn_as: DsnAs) -> None:
    role, dsn = dsn_as()
    target = connect(user=role)
    target.execute("SELECT 1")
    action = seen(dsn, target, "terminate")
    assert action.backend_start is not None
    assert do(dsn, action).result == "done"


@pytest.mark.parametrize("how", ["cancel", "terminate"])
def test_a_plain_role_is_told_which_grant_helps(
    how: How, database: Database, connect: Connect, dsn_as: DsnAs
) -> None:
    other, _ = dsn_as()
    role, dsn = dsn_as()
    target = connect(user=other, autocommit=True)
    running(connect, target)
    outcome = do(dsn, seen(dsn, target, how))
    assert outcome.result == "refused"
    assert f"(GRANT pg_signal_backend TO {role})" in outcome.message
    assert f"(GRANT {other} TO {role})" in outcome.message
    assert is_there(database, pid(target))
    # What it says helps, as it stands.
    connect(autocommit=True).execute(f"GRANT {other} TO {role}".encode())
    assert do(dsn, seen(dsn, target, how)).result == "done"


def test_with_pg_signal_backend_but_without_sight(
    database: Database, connect: Connect, dsn_as: DsnAs
) -> None:
    other, _ = dsn_as()
    _, dsn = dsn_as("IN ROLE pg_signal_backend")
    target = connect("the app", user=other, autocommit=True)
    running(connect, target)
    action = seen(dsn, target, "cancel")
    assert action.backend_start is None
    outcome = do(dsn, action)
    assert outcome.result == "unconfirmed"
    assert "whether it did isn't visible" in outcome.message
    assert "needs pg_monitor" in outcome.message
    assert "'the app'" in outcome.message
    assert do(dsn, replace(action, application_name="another")).result == "refused"
    assert do(dsn, replace(action, user_oid=10)).result == "refused"
    outcome = do(dsn, replace(action, how="terminate"))
    assert outcome.result == "done"
    assert not is_there(database, pid(target))


def test_a_hidden_cancel_is_confirmed_by_those_it_frees(connect: Connect, dsn_as: DsnAs) -> None:
    other, _ = dsn_as()
    _, dsn = dsn_as("IN ROLE pg_signal_backend")
    holder, waiter = connect("the app", user=other), connect()
    holder.execute("SELECT pg_advisory_xact_lock(1)")
    running(connect, holder)
    waiting = blocked(waiter, "SELECT pg_advisory_xact_lock(1)")
    outcome = do(dsn, seen(dsn, holder, "cancel"))
    assert outcome.result == "done"
    assert "The session that waited behind it is free." in outcome.message
    waiting.result()


def test_a_superusers_session_needs_a_superuser(database: Database, connect: Connect, dsn_as: DsnAs) -> None:
    _, dsn = dsn_as("IN ROLE pg_signal_backend, pg_monitor")
    target = connect()
    outcome = do(dsn, seen(dsn, target, "terminate"))
    assert outcome.result == "refused"
    assert outcome.message.endswith("it belongs to the superuser postgres, so it needs a superuser.")
    assert is_there(database, pid(target))


# Prepared transactions.


def prepare(session: Session, gid: str) -> None:
    session.execute("SELECT pg_advisory_xact_lock(77)")
    session.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))


def is_prepared(database: Database, gid: str) -> bool:
    with psycopg.connect(database.dsn, autocommit=True) as observer:
        query = "SELECT 1 FROM pg_prepared_xacts WHERE gid = %s"
        return observer.execute(query, [gid]).fetchone() is not None


HOSTILE = 'it\'s "100%" %s \\ $$ ; DROP é \N{SNOWMAN}'


def test_a_rollback_in_another_database_by_the_owner(
    server: EmbeddedServer, database: Database, connect: Connect, dsn_as: DsnAs
) -> None:
    role, _ = dsn_as()
    owner, waiter = connect(user=role), connect()
    gid = f"{database.name} {HOSTILE}"
    prepare(owner, gid)
    waiting = blocked(waiter, "SELECT pg_advisory_xact_lock(77)")
    elsewhere = server.dsn("postgres", role)
    outcome = do(elsewhere, on_prepared(look(elsewhere), gid))
    assert outcome == Outcome(
        "done",
        f"The prepared transaction {gid} was rolled back. The session that waited behind it is free.",
    )
    assert not is_prepared(database, gid)
    waiting.result()


def test_a_database_whose_name_is_not_known_yet(
    server: EmbeddedServer, database: Database, connect: Connect
) -> None:
    prepare(connect(), database.name)
    elsewhere = server.dsn()
    action = replace(on_prepared(look(elsewhere), database.name), database=None)
    assert do(elsewhere, action).result == "done"
    assert not is_prepared(database, database.name)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_name_in_another_encoding(encoding: str, database: Database, connect: Connect) -> None:
    name = unique_name()
    admin = connect(autocommit=True)
    admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode())
    gid = f"{name} \N{LATIN SMALL LETTER E WITH ACUTE}'%"
    try:
        with psycopg.connect(make_conninfo(database.dsn, dbname=name, client_encoding="UTF8")) as session:
            session.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))
        picture = look(database.dsn)
        [party] = [one for one in picture.prepared if one.gid.startswith(name)]
        assert do(database.dsn, on_prepared(picture, party.gid)).result == "done"
        assert not is_prepared(database, gid)
    finally:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_not_the_owner(database: Database, connect: Connect, dsn_as: DsnAs) -> None:
    _, dsn = dsn_as("IN ROLE pg_signal_backend, pg_monitor")
    prepare(connect(), database.name)
    outcome = do(dsn, on_prepared(look(dsn), database.name))
    assert outcome.result == "refused"
    assert outcome.message.endswith("needs its owner (postgres) or a superuser.")
    assert is_prepared(database, database.name)


def test_a_prepared_transaction_that_has_ended_or_is_another_one(
    database: Database, connect: Connect
) -> None:
    session, gid = connect(autocommit=True), database.name
    session.execute("BEGIN")
    prepare(session, gid)
    action = on_prepared(look(database.dsn), gid)
    session.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
    assert do(database.dsn, action) == Outcome(
        "refused", f"The prepared transaction {gid} had ended already."
    )
    session.execute("BEGIN")
    prepare(session, gid)
    outcome = do(database.dsn, action)
    assert outcome.result == "refused"
    assert "another one bears its name now, left alone" in outcome.message
    assert is_prepared(database, gid)
    with pytest.raises(RefusedError, match="no prepared transaction 'nonsense'"):
        on_prepared(look(database.dsn), "nonsense")


# A server in trouble.


@pytest.fixture
def own_server(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server that the test may stop."""
    with EmbeddedServer(programs, server_directory(), {}, template) as server:
        yield server


def test_no_server(own_server: EmbeddedServer) -> None:
    with psycopg.connect(own_server.dsn()) as target:
        action = seen(own_server.dsn(), target, "terminate")
    own_server.stop()
    with pytest.raises(CannotConnectError) as caught:
        do(own_server.dsn(), action)
    assert "\n" not in str(caught.value)


def stop(postmaster: int, number: signal.Signals) -> None:
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    for process in (postmaster, *map(int, children)):
        with suppress(ProcessLookupError):  # workers come and go
            os.kill(process, number)


def test_a_server_that_stops_meanwhile_is_given_up(own_server: EmbeddedServer) -> None:
    dsn = own_server.dsn()
    asks = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND query ~ 'pg_stat_get_activity[(]'"
    with psycopg.connect(dsn) as target, psycopg.connect(dsn, autocommit=True) as observer:
        action = seen(dsn, target, "terminate")

        async def scenario() -> float:
            os.kill(action.pid, signal.SIGSTOP)  # so that there is something to wait for
            doing = asyncio.create_task(act(settings(dsn), action))
            while not observer.execute(asks, [OWN_NAME]).fetchone():
                assert not doing.done()
                await asyncio.sleep(0)
            stop(own_server.pid, signal.SIGSTOP)
            began_s = time.monotonic()
            with pytest.raises(ConnectionLostError, match="hasn't answered"):
                await doing
            return time.monotonic() - began_s

        try:
            took_s = asyncio.run(scenario())
        finally:
            stop(own_server.pid, signal.SIGCONT)
        assert took_s < ANSWER_DEADLINE_S + 1


def test_leaving_does_not_wait_for_a_stopped_server(own_server: EmbeddedServer) -> None:
    dsn = own_server.dsn()
    with psycopg.connect(dsn) as target:
        action = seen(dsn, target, "terminate")

        async def scenario() -> float:
            stop(own_server.pid, signal.SIGSTOP)
            doing = asyncio.create_task(act(settings(dsn), action))
            await asyncio.sleep(0)
            began_s = time.monotonic()
            doing.cancel()
            await asyncio.wait({doing})
            return time.monotonic() - began_s

        try:
            took_s = asyncio.run(scenario())
        finally:
            stop(own_server.pid, signal.SIGCONT)
        assert took_s < 0.5
