"""Databases that tests left behind go; those of whoever lives, or is connected, stay."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.postgres.leases import LEASE_KEY
from pgwatch_tests.reports.sweeps import sweep_words
from pgwatch_tests.sweep.gate import verdict as verdict_on
from pgwatch_tests.sweep.model import KeptReason
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from tests.leaks.leftovers.leftovers_seen import looked
from tests.leaks.scanning import settings
from tests.servers.sessions import Connect, Database, MakeRole, drop_database, unique_name
from tests.sweep.orphans.processes import owner_of
from tests.sweep.orphans.sweeping import aged_name, named, swept
from tests.waiting import wait_until


class MakeDatabase(Protocol):
    """Makes a database, an hour old by its name if none is given."""

    def __call__(self, name: str | None = None) -> str: ...


@pytest.fixture
def make_database(owner: Connection[TupleRow]) -> Iterator[MakeDatabase]:
    """Databases that are gone when the test ends."""
    made: list[str] = []

    def make(name: str | None = None) -> str:
        made.append(name or aged_name())
        owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(made[-1])))
        return made[-1]

    yield make
    for name in made:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if owner.execute(query, [name]).fetchone():
            owner.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))
            drop_database(owner, name)


def exists(owner: Connection[TupleRow], name: str) -> bool:
    """Whether there is such a database."""
    return owner.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def verdict(dsn: str, name: str, *, dry_run: bool = False) -> tuple[bool, KeptReason | None, str]:
    """What a sweep says of one database, but for its age."""
    orphan = named(swept(dsn, "databases", dry_run=dry_run, min_age_s=600), name)
    return orphan.removed, orphan.reason, orphan.detail


# Each worker has a server of its own, and runs one test at a time: there are no databases of others to drop.


def test_an_orphan_goes(owner: Connection[TupleRow], database: Database, make_database: MakeDatabase) -> None:
    name = make_database()

    assert verdict(database.dsn, name, dry_run=True) == (True, None, "")
    assert exists(owner, name)
    assert verdict(database.dsn, name) == (True, None, "")
    assert not exists(owner, name)


def test_age_and_name_decide(
    owner: Connection[TupleRow], database: Database, make_database: MakeDatabase
) -> None:
    kept = {aged_name(5): "too_young", aged_name(-3600): "in_future"}
    unleased = [f"{aged_name()}_more", f"test_{unique_name('x')}", f"{unique_name('app')}_test-0"]
    foreign = [f"x{aged_name()}", f"app_{aged_name()}"]
    kept |= dict.fromkeys(unleased, "unleased_name")
    for name in [*kept, *foreign]:
        make_database(name)
    template = make_database()
    owner.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(sql.Identifier(template)))

    found = {one.name: one.reason for one in swept(database.dsn, "databases").orphans}

    assert {name: found.get(name) for name in kept} == kept
    assert not found.keys() & {template, *foreign, "postgres"}
    assert all(exists(owner, name) for name in [*kept, *foreign, template])


def test_those_of_other_names_are_told_with_the_reason(
    owner: Connection[TupleRow], database: Database, make_database: MakeDatabase
) -> None:
    app = unique_name("app")
    names = [f"test_{app}_gw0", f"{app}_test_10", f"{app}_test-0", f"{app}_test2", f"{app}_qa"]
    for name in names:
        make_database(name)

    listed = {one.name for one in looked(database.dsn, "database").leftovers}
    request = SweepRequest(kinds=("databases",), min_age_s=0)
    report = Sweep(settings(database.dsn), request).run()
    own = replace(settings(database.dsn), leftover_databases=(f"{app}_q[a-z]",))

    assert listed & set(names) == set(names[:-1])
    assert {one.name: one.reason for one in report.orphans if one.name in names} == dict.fromkeys(
        names[:-1], "unleased_name"
    )
    assert [one.name for one in Sweep(own, request).run().orphans] == [names[-1]]
    # Another suite's may well be there: no gate on this database fails for them.
    assert (report.complete, verdict_on([report])) == (True, "clean")
    hints = sweep_words.hints(report)
    assert any("drop it yourself" in hint for hint in hints)
    assert not any("--min-age" in hint for hint in hints)


def test_the_connected_one_isnt_among_them(owner: Connection[TupleRow], make_database: MakeDatabase) -> None:
    name = make_database()
    with psycopg.connect(owner.info.dsn, dbname=name) as inside:
        dsn = inside.info.dsn

    assert name not in {one.name for one in swept(dsn, "databases").orphans}
    assert exists(owner, name)


def test_who_is_connected_keeps_it(
    owner: Connection[TupleRow], database: Database, connect: Connect, make_database: MakeDatabase
) -> None:
    name = make_database()
    sessions = [connect(f"worker {number}", database=name) for number in range(3)]
    pid = min(str(session.info.backend_pid) for session in sessions)

    dry, kept = verdict(database.dsn, name, dry_run=True), verdict(database.dsn, name)

    assert kept == dry
    assert kept[:2] == (False, "in_use")
    assert kept[2].startswith(f"connected to it: pid {pid} (worker ")
    assert kept[2].endswith(" and 2 others")
    assert exists(owner, name)


def test_our_own_sessions_dont_keep_it(
    owner: Connection[TupleRow], database: Database, connect: Connect, make_database: MakeDatabase
) -> None:
    name = make_database()
    connect("pgwatch-tests", database=name).execute("SELECT 1")

    assert verdict(database.dsn, name) == (True, None, "")
    assert not exists(owner, name)


def give(owner: Connection[TupleRow], name: str, role: str) -> None:
    """Makes a database somebody else's."""
    statement = sql.SQL("ALTER DATABASE {} OWNER TO {}")
    owner.execute(statement.format(sql.Identifier(name), sql.Identifier(role)))


def prepare_inside(owner: Connection[TupleRow], name: str) -> str:
    """Leaves a prepared transaction in a database, and nobody connected to it; the transaction's name."""
    gid = f"{unique_name()} 'ü'"
    with psycopg.connect(owner.info.dsn, dbname=name, autocommit=True) as inside:
        inside.execute("BEGIN")
        inside.execute("CREATE TABLE t ()")
        inside.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))
        pid = inside.info.backend_pid
    query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
    wait_until(lambda: owner.execute(query, [pid]).fetchone() is None)
    return gid


def is_prepared(owner: Connection[TupleRow], gid: str) -> bool:
    """Whether there is such a prepared transaction."""
    return owner.execute("SELECT 1 FROM pg_prepared_xacts WHERE gid = %s", [gid]).fetchone() is not None


def test_transactions_prepared_in_it_go_with_it(
    owner: Connection[TupleRow], database: Database, make_database: MakeDatabase
) -> None:
    name = make_database()
    gid = prepare_inside(owner, name)

    removed, reason, detail = verdict(database.dsn, name)

    assert (removed, reason) == (False, "too_young")
    assert detail.startswith("a transaction prepared in it is ")
    assert named(swept(database.dsn, "databases", min_age_s=0, dry_run=True), name).removed
    assert exists(owner, name)
    assert is_prepared(owner, gid)
    assert named(swept(database.dsn, "databases", min_age_s=0), name).removed
    assert not exists(owner, name)
    assert not is_prepared(owner, gid)


def test_what_others_prepared_in_it_keeps_it(
    owner: Connection[TupleRow],
    database: Database,
    server: EmbeddedServer,
    make_role: MakeRole,
    make_database: MakeDatabase,
) -> None:
    plain, name = make_role(), make_database()
    owner.execute(
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(plain))
    )
    gid = prepare_inside(owner, name)

    kept = named(swept(server.dsn(database.name, plain), "databases", min_age_s=0), name)

    assert (kept.removed, kept.reason) == (False, "refused")
    needed = "needs the role that prepared it (postgres) or a superuser"
    assert kept.detail == f"a transaction prepared in it {needed}"
    assert is_prepared(owner, gid)


def test_a_transaction_prepared_where_nobody_may_connect(
    owner: Connection[TupleRow], database: Database, make_database: MakeDatabase
) -> None:
    closed, empty = make_database(), make_database()
    gid = prepare_inside(owner, closed)
    for name in (closed, empty):
        owner.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))

    found = swept(database.dsn, "databases", min_age_s=0)

    assert named(found, empty).removed
    kept = named(found, closed)
    assert (kept.removed, kept.reason) == (False, "refused")
    assert "can't be reached" in kept.detail
    assert is_prepared(owner, gid)
    owner.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(closed)))


def test_a_plain_role_is_told_whose_it_is(
    owner: Connection[TupleRow],
    database: Database,
    server: EmbeddedServer,
    make_role: MakeRole,
    make_database: MakeDatabase,
) -> None:
    name, plain, sweeper = make_database(), make_role(), make_role()
    owner.execute(
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(plain))
    )
    dsn = server.dsn(database.name, sweeper)
    grant = f"GRANT {plain} TO {sweeper}"

    kept = verdict(dsn, name)

    assert kept == (False, "refused", f"needs its owner {plain} ({grant}) or a superuser")
    assert verdict(dsn, name, dry_run=True) == kept
    assert exists(owner, name)
    owner.execute(grant.encode())
    assert verdict(dsn, name) == (True, None, "")
    assert not exists(owner, name)


def test_what_the_server_says_when_it_refuses(
    owner: Connection[TupleRow], database: Database, make_database: MakeDatabase
) -> None:
    name = make_database()
    with psycopg.connect(owner.info.dsn, dbname=name, autocommit=True) as inside:
        inside.execute(
            "CREATE SUBSCRIPTION s CONNECTION 'dbname=nowhere' PUBLICATION p"
            " WITH (connect = false, slot_name = NONE)"
        )
    try:
        removed, reason, detail = verdict(database.dsn, name)

        assert (removed, reason) == (False, "refused")
        assert "is being used by logical replication subscription" in detail
        assert exists(owner, name)
    finally:
        with psycopg.connect(owner.info.dsn, dbname=name, autocommit=True) as inside:
            inside.execute("DROP SUBSCRIPTION s")


def test_a_lease_in_any_database_keeps_it(
    owner: Connection[TupleRow], database: Database, connect: Connect, make_database: MakeDatabase
) -> None:
    name = make_database()
    holder = connect(database="postgres", autocommit=True)
    holder.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [LEASE_KEY, name])

    assert verdict(database.dsn, name)[1] == "run_alive"
    assert exists(owner, name)
    holder.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [LEASE_KEY, name])
    assert verdict(database.dsn, name)[0]


def test_it_stays_as_long_as_its_owner_lives(
    owner: Connection[TupleRow], database: Database, server: EmbeddedServer
) -> None:
    with owner_of("database", server.dsn()) as process:
        for stop in (False, True):
            if stop:
                process.process.send_signal(signal.SIGSTOP)
            assert named(swept(database.dsn, "databases", min_age_s=0), process.name).reason == "run_alive"
            assert exists(owner, process.name)

        process.kill()

        def is_gone() -> bool:
            return named(swept(database.dsn, "databases", min_age_s=0), process.name).removed

        wait_until(is_gone)
        assert not exists(owner, process.name)


def test_it_ends_when_told_to(
    owner: Connection[TupleRow], database: Database, make_database: MakeDatabase
) -> None:
    name = make_database()

    assert named(swept(database.dsn, "databases", stopped=lambda: True), name).reason == "interrupted"
    assert exists(owner, name)
