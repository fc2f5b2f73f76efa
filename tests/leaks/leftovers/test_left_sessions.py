"""Sessions that are left over, idle in a transaction; who can't see them doesn't take them for none."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import Connection, errors
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.model import LeftoverKind, LeftSession
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings
from tests.leaks.leftovers.leftovers_seen import found, is_active, looked, only
from tests.servers.sessions import Connect, Database, MakeRole, RunningStatement
from tests.waiting import wait_until


def test_a_session_counts_after_five_seconds(database: Database, connect: Connect) -> None:
    session = connect("pytest:gw0 tests/test_a.py::test_b")
    session.execute("SELECT 'secret'")

    assert found(database.dsn, "idle_in_transaction") == []
    (leftover,) = wait_until(lambda: found(database.dsn, "idle_in_transaction"))

    assert leftover.name == f"pid {session.info.backend_pid}"
    assert leftover.detail == (
        "test tests/test_a.py::test_b (pytest gw0), idle in transaction, user postgres, last: SELECT …"
    )
    assert leftover.age_s is not None
    assert 5 <= leftover.age_s < 60


@pytest.mark.usefixtures("at_once")
def test_which_sessions_count(
    owner: Connection[TupleRow], database: Database, connect: Connect, server: EmbeddedServer
) -> None:
    aborted, elsewhere, ours = connect("aborted"), connect(database="postgres"), connect("pgwatch-tests")
    with pytest.raises(errors.DivisionByZero):
        aborted.execute("SELECT 1/0")
    elsewhere.execute("SELECT 1")
    ours.execute("SELECT 1")
    running = RunningStatement(connect("busy"), "SELECT pg_sleep(60)", ())
    wait_until(lambda: is_active(owner, running.pid))

    leftover = only(database.dsn, "idle_in_transaction")

    assert leftover.name == f"pid {aborted.info.backend_pid}"
    assert leftover.detail.startswith("aborted, idle in transaction (aborted), user postgres")


@pytest.mark.usefixtures("at_once")
async def test_it_is_the_session_that_a_poll_of_locks_sees(database: Database, connect: Connect) -> None:
    connect("left").execute("SELECT 1")

    left = only(database.dsn, "idle_in_transaction").session

    async with LiveSource(Settings(Dsn(database.dsn, "the test"))) as source:
        snapshot = await source.read()
    [polled] = [one for one in snapshot.sessions if one.application_name == "left"]
    assert polled.backend_start is not None
    assert left == LeftSession(polled.pid, polled.backend_start)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("kind", ["idle_in_transaction", "advisory_lock"])
def test_a_plain_role_doesnt_take_hidden_sessions_for_none(
    kind: LeftoverKind, database: Database, server: EmbeddedServer, connect: Connect, make_role: MakeRole
) -> None:
    plain, monitor = make_role(), make_role("IN ROLE pg_monitor")
    leaking = connect("somebody's")
    leaking.execute("SELECT pg_advisory_lock(1)")

    hidden = looked(server.dsn(database.name, plain), kind)
    seen = looked(server.dsn(database.name, monitor), kind)

    (unchecked,) = hidden.unchecked
    assert hidden.leftovers == ()
    assert not hidden.complete
    assert unchecked.kind == kind
    assert unchecked.reason.endswith("of other roles not visible: needs pg_monitor")
    assert unchecked.reason.startswith("1 lock" if kind == "advisory_lock" else "1 session")
    assert unchecked.hint == f'GRANT pg_monitor TO "{plain}"'
    assert seen.complete
    assert len(seen.leftovers) == 1
    # The hint is what helps, as it stands.
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(unchecked.hint.encode())
    again = looked(server.dsn(database.name, plain), kind)
    assert again.complete
    assert [one.name for one in again.leftovers] == [one.name for one in seen.leftovers]


@pytest.mark.usefixtures("at_once")
def test_a_plain_role_sees_its_own_sessions(
    database: Database, server: EmbeddedServer, connect: Connect, make_role: MakeRole
) -> None:
    plain = make_role()
    leaking = connect(user=plain)
    leaking.execute("SELECT 1")

    leftover = only(server.dsn(database.name, plain), "idle_in_transaction")

    assert leftover.name == f"pid {leaking.info.backend_pid}"
    assert f"user {plain}" in leftover.detail


def test_a_session_that_doesnt_say_its_state(database: Database, connect: Connect) -> None:
    session = connect("untold", autocommit=True)
    session.execute("SET track_activities = off")
    assert looked(database.dsn, "idle_in_transaction").complete, "it is in no transaction"
    session.execute("BEGIN")

    (unchecked,) = looked(database.dsn, "idle_in_transaction").unchecked

    assert unchecked.reason == "1 session without a state: track_activities is off"
