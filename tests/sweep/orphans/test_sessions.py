"""Sessions idle in a transaction are ended if that is asked for: those that were seen so, and no others."""

from __future__ import annotations

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks import leftovers
from pgwatch_tests.postgres.leases import LEASE_KEY
from pgwatch_tests.sweep.request import DEFAULT_SWEEP_KINDS
from tests.servers.sessions import Connect, Database, MakeRole
from tests.sweep.orphans.sweeping import named, swept
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions count as soon as they are idle in a transaction."""
    monkeypatch.setattr(leftovers, "IDLE_IN_TRANSACTION_AFTER_S", 0.0)


def idle_in_transaction(connection: Connection[TupleRow]) -> str:
    """Leaves a transaction open; what the session is called."""
    connection.execute("SELECT 'secret'")
    return f"pid {connection.info.backend_pid}"


def lives(observer: Connection[TupleRow], name: str) -> bool:
    """Whether there is still a session of that name."""
    query = "SELECT 1 FROM pg_stat_activity WHERE 'pid ' || pid = %s"
    return observer.execute(query, [name]).fetchone() is not None


def test_one_is_ended(owner: Connection[TupleRow], database: Database, connect: Connect) -> None:
    name = idle_in_transaction(connect("pytest:gw0 tests/test_a.py::test_b"))

    dry = named(swept(database.dsn, "sessions", min_age_s=0, dry_run=True), name)

    assert dry.removed
    assert dry.detail == "test tests/test_a.py::test_b (pytest gw0), idle in transaction, last: SELECT …"
    assert lives(owner, name)
    ended = named(swept(database.dsn, "sessions", min_age_s=0), name)
    assert (ended.removed, ended.detail) == (True, dry.detail)
    assert not lives(owner, name), "it is only said to be gone once it is"


def test_nothing_is_ended_unless_it_is_asked_for(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    name = idle_in_transaction(connect())

    assert "sessions" not in DEFAULT_SWEEP_KINDS
    swept(database.dsn, *(kind for kind in DEFAULT_SWEEP_KINDS if kind != "databases"), min_age_s=0)

    assert lives(owner, name)


def test_which_are_left_alone(
    owner: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, elsewhere, live = connect("pgwatch-tests"), connect(database="postgres"), connect("live")
    names = [idle_in_transaction(one) for one in (ours, elsewhere, live)]
    live.execute("SELECT pg_advisory_lock(%s, 1)", [LEASE_KEY])

    (kept,) = swept(database.dsn, "sessions", min_age_s=0).orphans

    assert (kept.name, kept.removed, kept.reason) == (names[2], False, "run_alive")
    assert kept.detail.startswith("it holds a lease; live, idle in transaction")
    assert all(lives(owner, name) for name in names)
    # None of them is old enough to be looked at.
    live.execute("SELECT pg_advisory_unlock(%s, 1)", [LEASE_KEY])
    assert swept(database.dsn, "sessions", min_age_s=60).orphans == ()
    monkeypatch.setattr(leftovers, "IDLE_IN_TRANSACTION_AFTER_S", 60.0)
    assert swept(database.dsn, "sessions", min_age_s=0).orphans == ()
    assert all(lives(owner, name) for name in names)


def test_one_that_goes_on_meanwhile_is_left_alone(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    session = connect()
    name = idle_in_transaction(session)

    def meanwhile() -> bool:
        session.execute("SELECT 1")
        return False

    kept = named(swept(database.dsn, "sessions", min_age_s=0, stopped=meanwhile), name)

    assert (kept.removed, kept.reason) == (False, "changed")
    assert lives(owner, name)


def test_one_that_ends_by_itself_is_gone(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    session = connect()
    name = idle_in_transaction(session)

    def meanwhile() -> bool:
        session.close()
        wait_until(lambda: not lives(owner, name))
        return False

    assert named(swept(database.dsn, "sessions", min_age_s=0, stopped=meanwhile), name).removed


def test_it_ends_when_told_to(owner: Connection[TupleRow], database: Database, connect: Connect) -> None:
    name = idle_in_transaction(connect())

    kept = named(swept(database.dsn, "sessions", min_age_s=0, stopped=lambda: True), name)

    assert kept.reason == "interrupted"
    assert lives(owner, name)


def test_what_a_plain_role_cant_see_isnt_taken_for_nothing(
    owner: Connection[TupleRow],
    database: Database,
    server: EmbeddedServer,
    connect: Connect,
    make_role: MakeRole,
) -> None:
    plain, theirs = make_role(), make_role()
    name = idle_in_transaction(connect(user=theirs))
    dsn = server.dsn(database.name, plain)

    hidden = swept(dsn, "sessions", min_age_s=0)

    assert hidden.orphans == ()
    (sentence,) = hidden.not_checked
    assert sentence == (
        "sessions idle in a transaction: 1 session of other roles not visible: needs pg_monitor "
        f'(GRANT pg_monitor TO "{plain}")'
    )
    owner.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(plain)))
    seen = swept(dsn, "sessions", min_age_s=0)
    assert seen.not_checked == ()
    kept = named(seen, name)
    assert (kept.removed, kept.reason) == (False, "refused")
    grant = f"GRANT pg_signal_backend TO {plain}"
    assert kept.detail.startswith(f"needs pg_signal_backend ({grant}) or membership in its role")
    assert lives(owner, name)
    # The hint helps.
    owner.execute(grant.encode())
    assert named(swept(dsn, "sessions", min_age_s=0), name).removed
    assert not lives(owner, name)


def test_a_superusers_session_needs_a_superuser(
    owner: Connection[TupleRow],
    database: Database,
    server: EmbeddedServer,
    connect: Connect,
    make_role: MakeRole,
) -> None:
    plain = make_role("IN ROLE pg_monitor, pg_signal_backend")
    name = idle_in_transaction(connect())

    kept = named(swept(server.dsn(database.name, plain), "sessions", min_age_s=0), name)

    assert (kept.removed, kept.reason) == (False, "refused")
    assert kept.detail.startswith("it belongs to the superuser postgres: needs a superuser")
    assert lives(owner, name)
