"""A lease lives as long as its owner, whatever that does, and is seen from every database."""

from __future__ import annotations

import secrets
import signal
from contextlib import ExitStack

import psycopg
import pytest

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.postgres.leases import LEASE_KEY, hold_lease, lease_holders, live_lease_numbers, run_lease
from pgwatch_tests.testing.leases import lease, run
from tests.servers.sessions import Connect, Database, unique_name
from tests.sweep.orphans.processes import owner_of
from tests.sweep.orphans.sweeping import sweep_session
from tests.waiting import wait_until


def test_which_of_many_live(database: Database) -> None:
    names = [unique_name() for _ in range(2000)]
    with (
        sweep_session(database.dsn) as (session, _),
        lease(database.dsn, names[7]),
        lease(database.dsn, names[1500]),
    ):
        assert lease_holders(session, names).keys() == {names[7], names[1500]}
        assert not lease_holders(session, [])
    with sweep_session(database.dsn) as (session, _):
        assert not lease_holders(session, names)


def test_it_is_seen_from_every_database(server: EmbeddedServer, database: Database) -> None:
    name = unique_name()

    with lease(server.dsn(), name), sweep_session(database.dsn) as (session, _):
        assert lease_holders(session, [name]).keys() == {name}
        with hold_lease(session, name) as is_ours:
            assert not is_ours
    with sweep_session(database.dsn) as (session, _):
        with hold_lease(session, name) as is_ours:
            assert is_ours
            assert not lease_holders(session, [name]), "our own doesn't count"
            with sweep_session(server.dsn()) as (other, _):
                assert lease_holders(other, [name]).keys() == {name}
        with sweep_session(database.dsn) as (other, _):
            assert not lease_holders(other, [name]), "it was given back"


def test_the_numbers_are_those_of_hashtext(server: EmbeddedServer, database: Database) -> None:
    names = [unique_name() for _ in range(8)]
    with ExitStack() as held, sweep_session(database.dsn) as (session, _):
        for name in names:
            held.enter_context(lease(server.dsn(), name))
        query = "SELECT hashtext(name) FROM unnest(%s::text[]) AS name"
        numbers = {number for (number,) in session.connection.execute(query, [names])}

        assert live_lease_numbers(session) == numbers
        with hold_lease(session, unique_name()):
            assert live_lease_numbers(session) == numbers
    with sweep_session(database.dsn) as (session, _):
        assert live_lease_numbers(session) == frozenset()


def test_only_leases_count(database: Database, connect: Connect) -> None:
    name = unique_name()
    other = connect(autocommit=True)
    # The same bits as one number; another first number; a request that isn't granted.
    other.execute(
        "SELECT pg_advisory_lock((%s::bigint << 32) | (hashtext(%s)::bigint & 4294967295))", [LEASE_KEY, name]
    )
    other.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [LEASE_KEY + 1, name])

    with sweep_session(database.dsn) as (session, _):
        assert not lease_holders(session, [name])
        # Whoever isn't written in Python holds it so.
        other.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [LEASE_KEY, name])
        assert lease_holders(session, [name]) == {name: other.info.backend_pid}


def test_a_run_lives(database: Database) -> None:
    gone = secrets.token_hex(4)
    with (
        run(database.dsn) as one,
        run(database.dsn, secrets.token_hex(4)) as other,
        sweep_session(database.dsn) as (session, _),
    ):
        leases = [run_lease(one), run_lease(other.upper()), run_lease(gone)]
        assert lease_holders(session, leases).keys() == set(leases[:2])
    with sweep_session(database.dsn) as (session, _):
        assert not lease_holders(session, leases)


def test_a_run_that_is_killed_is_over(database: Database) -> None:
    with owner_of("run", database.dsn) as owner, sweep_session(database.dsn) as (session, _):
        leases = [run_lease(owner.name)]
        assert lease_holders(session, leases)
        owner.process.send_signal(signal.SIGSTOP)
        assert lease_holders(session, leases)
        owner.kill()
        wait_until(lambda: not lease_holders(session, leases), timeout_s=30)


def test_a_lease_outlives_what_ends_idle_sessions(database: Database, connect: Connect) -> None:
    owner = connect(autocommit=True)
    if owner.info.server_version < 140000:
        pytest.skip("no idle_session_timeout before 14")
    owner.execute(f"ALTER DATABASE {database.name} SET idle_session_timeout = '50ms'".encode())
    name = unique_name()
    with lease(database.dsn, name):
        other = connect("idle", autocommit=True)
        wait_until(lambda: is_gone(owner, other.info.backend_pid))

        with sweep_session(database.dsn) as (session, _):
            assert lease_holders(session, [name]).keys() == {name}


def is_gone(observer: psycopg.Connection[tuple[object, ...]], pid: int) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
    return observer.execute(query, [pid]).fetchone() is None
