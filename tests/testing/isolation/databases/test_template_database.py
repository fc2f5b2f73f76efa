"""A template stays for the next run, is taken for no leak, and goes when nobody has wanted it for long."""

from __future__ import annotations

import threading
from dataclasses import replace

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.testing import (
    IsolatedPlace,
    MigrationError,
    Migrations,
    drop_templates,
    function_migrations,
    isolated_database,
)
from pgwatch_tests.testing.isolation.databases.template_database import template_database
from pgwatch_tests.testing.isolation.own_sessions import own_sessions
from tests.leaks.scanning import settings
from tests.servers.sessions import Database, unique_name
from tests.sweep.orphans.sweeping import swept


def made_of(version: str) -> tuple[list[str], Migrations]:
    """Migrations that count how often they run."""
    ran: list[str] = []

    def migrate(place: IsolatedPlace) -> None:
        ran.append(place.name)
        with place.connect() as connection:
            connection.execute("CREATE TABLE a ()")

    return ran, function_migrations(migrate, version)


def template_names(owner: Connection[TupleRow]) -> list[str]:
    """Those on the server, of this test only where it drops the others first."""
    query = (
        "SELECT datname FROM pg_database WHERE datname LIKE 'pgwatch%' AND datistemplate AND NOT datallowconn"
    )
    return [str(name) for (name,) in owner.execute(query)]


def test_threads_of_a_process_build_it_once(database: Database) -> None:
    ran, migrations = made_of(unique_name())
    with own_sessions(database.dsn) as sessions:
        threads = [threading.Thread(target=template_database, args=(sessions, migrations)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ran) == 1
    drop_templates(database.dsn, 0)


def test_it_stays_for_the_next_run_and_nobody_takes_it_for_a_leak(
    database: Database, owner: Connection[TupleRow]
) -> None:
    drop_templates(database.dsn, 0)
    ran, migrations = made_of(unique_name())
    for _ in range(2):
        with own_sessions(database.dsn) as sessions:
            template = template_database(sessions, migrations)
    assert len(ran) == 1
    assert template_names(owner) == [template.name]
    expected = ("wal_log", "file_copy") if owner.info.server_version >= 150000 else ("default",)
    assert template.strategy in expected
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        psycopg.connect(owner.info.dsn, dbname=template.name)
    everything = replace(settings(database.dsn), leftover_databases=("*",))
    assert template.name not in {one.name for one in scan(everything, kinds=["database"]).leftovers}
    assert template.name not in {one.name for one in swept(database.dsn, "databases", min_age_s=0).orphans}

    assert drop_templates(database.dsn) == []
    comment = f"pgwatch-tests: template, copied by {template.strategy}, last used 2020-01-01T00:00Z"
    owner.execute(f"COMMENT ON DATABASE {template.name} IS '{comment}'".encode())
    with own_sessions(database.dsn) as sessions:
        template_database(sessions, migrations)
    assert drop_templates(database.dsn) == [], "that was a use"
    owner.execute(f"COMMENT ON DATABASE {template.name} IS '{comment}'".encode())
    _, others = made_of(unique_name())
    with own_sessions(database.dsn) as sessions:
        another = template_database(sessions, others)
    assert template_names(owner) == [another.name], "whoever builds one drops the old"
    assert drop_templates(database.dsn, 0) == [another.name]


def test_sessions_that_migrations_leave_idle_are_ended(database: Database) -> None:
    left: list[psycopg.Connection[TupleRow]] = []

    def leave(place: IsolatedPlace) -> None:
        left.append(place.connect(autocommit=True))
        left[0].execute("CREATE TABLE a ()")

    with isolated_database(database.dsn, function_migrations(leave, unique_name())) as place:
        assert place.name
    with pytest.raises(psycopg.OperationalError):
        left[0].execute("SELECT 1")
    left[0].close()
    drop_templates(database.dsn, 0)


def test_sessions_that_are_at_work_are_named(database: Database, owner: Connection[TupleRow]) -> None:
    left: list[psycopg.Connection[TupleRow]] = []

    def work(place: IsolatedPlace) -> None:
        left.append(place.connect(application_name="migrator pool"))
        left[0].execute("CREATE TABLE a ()")

    words = r"connected to their database and at work: pid \d+ \(migrator pool\)\. Close what they open"
    with pytest.raises(MigrationError, match=words):
        isolated_database(database.dsn, function_migrations(work, unique_name())).__enter__()
    left[0].close()
    assert (
        owner.execute(
            "SELECT 1 FROM pg_database WHERE datname LIKE 'test%' AND datname <> current_database()"
        ).fetchall()
        == []
    )


def test_a_failed_build_leaves_nothing(database: Database, owner: Connection[TupleRow]) -> None:
    version = unique_name()

    def fail(place: IsolatedPlace) -> None:
        with place.connect() as connection:
            connection.execute("CREATE TABLE a ()")
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            isolated_database(database.dsn, function_migrations(fail, version)).__enter__()
    query = "SELECT 1 FROM pg_database WHERE datname LIKE 'test%' AND datname <> current_database()"
    assert owner.execute(query).fetchall() == []


def test_a_strangers_database_of_that_name_is_refused(
    database: Database, owner: Connection[TupleRow]
) -> None:
    _, migrations = made_of(unique_name())
    with own_sessions(database.dsn) as sessions:
        name = template_database(sessions, migrations).name
        owner.execute(f"COMMENT ON DATABASE {name} IS 'mine'".encode())
        try:
            with pytest.raises(RefusedError, match="wasn't made by pgwatch-tests"):
                template_database(sessions, migrations)
            assert name not in drop_templates(database.dsn, 0)
        finally:
            owner.execute(f"ALTER DATABASE {name} IS_TEMPLATE false".encode())
            owner.execute(f"DROP DATABASE {name}".encode())
