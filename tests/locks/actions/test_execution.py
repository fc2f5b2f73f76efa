"""Cancelling and ending on a real server: only what was meant, and the truth about it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import CannotConnectError, ConnectionLostError, RefusedError
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.actions.action import How, Outcome, on_session
from pgwatch_tests.locks.actions.brief_connection import ANSWER_DEADLINE_S
from pgwatch_tests.locks.actions.execution import act
from tests.locks.actions.acting import do, is_there, pid, running, seen, settings
from tests.locks.looking import look
from tests.servers.sessions import Connect, Database, blocked
from tests.waiting import wait_until


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
    assert outcome.message.endswith("The session it blocked can continue.")
    waiting.result()
    with pytest.raises(psycopg.errors.QueryCanceled):
        statement.result()


def test_a_cancel_that_leaves_the_lock_says_so(database: Database, connect: Connect) -> None:
    holder, waiter = connect(autocommit=True), connect()
    holder.execute("SELECT pg_advisory_lock(1)")
    running(connect, holder)
    blocked(waiter, "SELECT pg_advisory_lock(1)")
    outcome = do(database.dsn, seen(database.dsn, holder, "cancel"))
    assert outcome.result == "in_vain"
    assert outcome.message.endswith(
        "The session it blocked still waits, behind it. It still holds the lock: end the session."
    )


@pytest.mark.parametrize("state", ["idle", "idle in transaction"])
def test_cancelling_an_idle_session_is_pointless_and_said_so(
    state: str, database: Database, connect: Connect
) -> None:
    target = connect(autocommit=state == "idle")
    target.execute("SELECT 1")
    outcome = do(database.dsn, seen(database.dsn, target, "cancel"))
    assert outcome.result == "refused"
    assert f"A cancel does nothing: unnamed session (pid {pid(target)}) is {state}." in outcome.message
    assert "End the session instead" in outcome.message
    assert target.execute("SELECT 1").fetchone() == (1,)


def test_a_session_is_ended_and_those_behind_it_are_free(database: Database, connect: Connect) -> None:
    holder, *waiters = (connect() for _ in range(3))
    holder.execute("SELECT pg_advisory_xact_lock(1)")
    waiting = [blocked(waiter, "SELECT pg_advisory_xact_lock_shared(1)") for waiter in waiters]
    outcome = do(database.dsn, seen(database.dsn, holder, "terminate"))
    assert outcome.result == "done"
    assert outcome.message.endswith("has ended. The 2 sessions it blocked can continue.")
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
        f"Of 3 sessions it blocked, 1 can continue; 2 still wait, behind test_first (gw1, pid {pid(first)})."
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


@pytest.mark.parametrize("is_waited_for", [True, False])
def test_a_session_that_has_gone_on_to_another_test_is_not_ended(
    is_waited_for: bool, database: Database, connect: Connect
) -> None:
    target, waiter = connect("pytest:gw0 t.py::test_left_open"), connect()
    target.execute("SELECT pg_advisory_xact_lock(1)")
    waiting = blocked(waiter, "SELECT pg_advisory_xact_lock(1)") if is_waited_for else None
    action = seen(database.dsn, target, "terminate")
    target.commit()
    target.execute("SET application_name = 'pytest:gw0 t.py::test_next'")
    if waiting is not None:
        waiting.result()
    outcome = do(database.dsn, action)
    assert outcome.result == "refused"
    assert "The transaction of test_left_open (gw0, pid " in outcome.message
    assert outcome.message.endswith("left alone.")
    assert target.execute("SELECT 1").fetchone() == (1,)


def test_a_session_is_ended_for_a_lock_that_its_transaction_left(
    database: Database, connect: Connect
) -> None:
    target, waiter = connect(), connect()
    target.execute("SELECT pg_advisory_lock(1)")
    waiting = blocked(waiter, "SELECT pg_advisory_xact_lock(1)")
    action = seen(database.dsn, target, "terminate")
    target.commit()
    target.execute("SELECT 1")
    assert do(database.dsn, action).result == "done"
    waiting.result()


def test_a_session_that_works_and_blocks_nobody_is_ended_whatever_it_does_by_then(
    database: Database, connect: Connect
) -> None:
    target = connect(autocommit=True)
    running(connect, target)
    action = seen(database.dsn, target, "terminate")
    target.cancel_safe()
    wait_until(lambda: target.info.transaction_status == psycopg.pq.TransactionStatus.IDLE)
    assert do(database.dsn, action).result == "done"


@pytest.mark.parametrize("how", ["cancel", "terminate"])
def test_a_session_that_has_ended(how: How, database: Database, connect: Connect) -> None:
    target = connect()
    action = seen(database.dsn, target, how)
    target.close()
    wait_until(lambda: not is_there(database, action.pid), message="it is gone")
    outcome = do(database.dsn, action)
    assert outcome == Outcome("refused", f"unnamed session (pid {action.pid}) had ended already.")


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
        assert took_s < ANSWER_DEADLINE_S + 10


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
        assert took_s < ANSWER_DEADLINE_S
