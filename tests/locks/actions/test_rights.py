"""What a role may do to whose sessions, and what it is told of the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.locks.actions.action import How
from tests.locks.actions.acting import DsnAs, do, is_there, pid, running, seen
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
