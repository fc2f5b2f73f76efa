"""What a role may do to whose sessions, and what it is told of the rest."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import LiteralString

import pytest

from pgwatch_tests.locks.actions.action import How, action_on
from pgwatch_tests.locks.actions.signal_rights import SignalRights
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party, PreparedTransaction, Session
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from tests.locks.actions.acting import DsnAs, do, is_there, pid, running, seen, settings
from tests.locks.looking import look
from tests.locks.snapshots import snapshot
from tests.servers.sessions import Connect, Database, blocked


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
    assert "The session it blocked can continue." in outcome.message
    waiting.result()


def test_a_superusers_session_needs_a_superuser(database: Database, connect: Connect, dsn_as: DsnAs) -> None:
    _, dsn = dsn_as("IN ROLE pg_signal_backend, pg_monitor")
    target = connect()
    outcome = do(dsn, seen(dsn, target, "terminate"))
    assert outcome.result == "refused"
    assert outcome.message.endswith("it belongs to the superuser postgres, so it needs a superuser.")
    assert is_there(database, pid(target))


def rights(dsn: str) -> SignalRights:
    """The rights as a dashboard reads them."""

    async def read() -> SignalRights:
        async with LiveSource(settings(dsn)) as source:
            await source.read()
            async with asyncio.timeout(20):
                while True:
                    if found := await source.signal_rights():
                        return found
                    await asyncio.sleep(0.05)

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("options", "refused"),
    [("", ("other", "super")), ("IN ROLE pg_signal_backend", ("super",)), ("SUPERUSER", ())],
    ids=["plain", "signals", "superuser"],
)
def test_a_refusal_is_known_before(
    options: LiteralString, refused: tuple[str, ...], connect: Connect, dsn_as: DsnAs
) -> None:
    other, _ = dsn_as()
    role, dsn = dsn_as(options)
    sessions = {"own": connect(user=role), "other": connect(user=other), "super": connect()}
    known, graph = rights(dsn), look(dsn)
    for whose, session in sessions.items():
        expected = known.refusal(graph, seen(dsn, session, "terminate"))
        assert bool(expected) == (whose in refused)
        outcome = do(dsn, seen(dsn, session, "terminate"))
        assert (outcome.result == "refused") == (whose in refused)
        assert expected in outcome.message


def test_membership_and_processes_of_the_server(connect: Connect, dsn_as: DsnAs) -> None:
    other, _ = dsn_as()
    role, dsn = dsn_as()
    connect(autocommit=True).execute(f"GRANT {other} TO {role}".encode())
    known = rights(dsn)
    oids = {one.name: one.oid for one in known.roles.values()}

    def refusal(session: Session) -> str:
        return known.refusal(
            graph := LockGraph(snapshot((), (session,))), action_on(graph, Party(7), "cancel")
        )

    began = datetime(2026, 3, 1, tzinfo=UTC)
    vacuum = Session(7, backend_start=began, backend_type="autovacuum worker", database_oid=5)
    client = Session(7, backend_start=began, backend_type="client backend", database_oid=5)
    assert not refusal(replace(client, user_oid=oids[other]))
    assert not refusal(client)
    assert refusal(vacuum).startswith("a process of the server itself needs a superuser")
    assert ("GRANT pg_signal_autovacuum_worker" in refusal(vacuum)) == ("pg_signal_autovacuum_worker" in oids)


def test_a_prepared_transaction_is_its_owners(connect: Connect, dsn_as: DsnAs) -> None:
    other, _ = dsn_as()
    role, dsn = dsn_as("IN ROLE pg_signal_backend")
    known = rights(dsn)
    oids = {one.name: one.oid for one in known.roles.values()}

    def refusal(owner: str) -> str:
        prepared = PreparedTransaction("pay", 5, oids[owner], "test_app", owner, 3.0)
        graph = LockGraph(replace(snapshot(), prepared=(prepared,)))
        return known.refusal(graph, action_on(graph, Party(0, "pay"), "terminate"))

    assert refusal(other) == f"needs its owner ({other}) or a superuser"
    assert not refusal(role)
