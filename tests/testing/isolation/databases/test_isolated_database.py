"""A database is a worker's or a test's own; what its owner leaves, however it ends."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.sweep.orphans.orphan_names import is_orphan_name
from pgwatch_tests.testing import (
    IsolatedPlace,
    drop_templates,
    isolated_database,
    keep,
    lease_session,
    prepared_databases,
)
from tests.leaks.scanning import settings
from tests.servers.sessions import Connect, Database, MakeRole
from tests.sweep.orphans.sweeping import named, swept
from tests.testing.isolation.catalogs import described, zoo
from tests.testing.isolation.held_leases import end_leases, lease_is_held
from tests.waiting import wait_until


def databases(owner: Connection[TupleRow]) -> set[str]:
    """The databases of tests on the server, but for the test's own."""
    query = "SELECT datname FROM pg_database WHERE datname LIKE 'test%' AND datname <> current_database()"
    return {str(name) for (name,) in owner.execute(query)}


def insert(place: IsolatedPlace) -> None:
    """One more user, committed."""
    with place.connect() as connection:
        connection.execute("INSERT INTO users (email) VALUES (gen_random_uuid() || '@b')")


def count(place: IsolatedPlace) -> int:
    """How many users there are."""
    with place.connect() as connection:
        (number,) = connection.execute("SELECT count(*) FROM users").fetchone() or (0,)
        return int(number)


@pytest.fixture
def no_templates(database: Database) -> Iterator[None]:
    """Drops what templates there are, before and after."""
    drop_templates(database.dsn, 0)
    yield
    drop_templates(database.dsn, 0)


def test_a_test_has_its_own(database: Database, owner: Connection[TupleRow]) -> None:
    with isolated_database(database.dsn, zoo()) as one, isolated_database(database.dsn, zoo()) as other:
        insert(one)
        assert (count(one), count(other)) == (1, 0)
        assert is_orphan_name(one.name)
        assert databases(owner) == {one.name, other.name}
        with one.connect(autocommit=True) as there:
            names = described(there, "public")
        assert any("100 % users" in name for name in names)
        forgotten = one.connect()
        forgotten.execute("SELECT 1")
    assert databases(owner) == set()
    forgotten.close()
    query = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    wait_until(lambda: owner.execute(query).rowcount == 0, message="no session of ours stays")


async def test_it_is_an_asynchronous_context_manager(database: Database, owner: Connection[TupleRow]) -> None:
    async with prepared_databases(database.dsn, zoo(), ahead=1):
        async with isolated_database(database.dsn, zoo()) as place:
            insert(place)
        async with isolated_database(database.dsn, zoo(), scope="worker") as place:
            insert(place)
    assert databases(owner) == set()


def test_without_migrations_it_is_empty(database: Database, owner: Connection[TupleRow]) -> None:
    with isolated_database(database.dsn) as place, place.connect() as connection:
        assert connection.execute("SELECT 1 FROM pg_class WHERE oid >= 16384").fetchall() == []


def test_a_prepared_transaction_goes_with_it(database: Database, owner: Connection[TupleRow]) -> None:
    with isolated_database(database.dsn, zoo()) as place, place.connect() as connection:
        connection.execute("CREATE TABLE t ()")
        connection.execute("PREPARE TRANSACTION 'left'")
    assert databases(owner) == set()


def test_a_worker_keeps_its_own(database: Database, owner: Connection[TupleRow]) -> None:
    names = set()
    with prepared_databases(database.dsn, zoo()):
        for _ in range(3):
            with isolated_database(database.dsn, zoo(), scope="worker") as place:
                assert count(place) == 0
                insert(place)
                names.add(place.name)
        assert databases(owner) == names
        with (
            isolated_database(database.dsn, zoo(), scope="worker") as one,
            isolated_database(database.dsn, zoo(), scope="worker") as other,
        ):
            assert one.name != other.name, "two at a time share nothing"
    assert len(names) == 1
    assert databases(owner) == set()


def test_copies_are_made_ahead(database: Database, owner: Connection[TupleRow]) -> None:
    with prepared_databases(database.dsn, zoo(), ahead=2):
        wait_until(lambda: len(databases(owner)) >= 2)
        ready = databases(owner)
        with isolated_database(database.dsn, zoo()) as one, isolated_database(database.dsn, zoo()) as other:
            assert {one.name, other.name} == ready
            with isolated_database(database.dsn, zoo()) as third:
                assert third.name not in ready
        alive = scan(settings(database.dsn), kinds=["database"]).leftovers
        assert alive == ()
    assert databases(owner) == set()


def test_what_a_killed_owner_leaves_is_an_orphan(
    python: str, database: Database, owner: Connection[TupleRow], no_templates: None
) -> None:
    command = [python, "-m", "tests.testing.isolation.databases.owners", database.dsn]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        schema, *own = json.loads(process.stdout.readline())
        wait_until(lambda: len(databases(owner)) >= 3)
        kept = swept(database.dsn, "schemas", "databases", min_age_s=0).orphans
        assert {one.reason for one in kept if one.name in (schema, *own)} == {"run_alive"}
        process.kill()
    wait_until(lambda: named(swept(database.dsn, "schemas", min_age_s=0), schema).removed)

    def is_gone() -> bool:
        swept(database.dsn, "databases", min_age_s=0)
        return databases(owner) == set()

    wait_until(is_gone)
    # The template is wanted by the next run.
    left = scan(settings(database.dsn), kinds=["database"])
    assert left.leftovers == ()
    assert len(drop_templates(database.dsn, 0)) == 1


def test_what_is_kept_is_no_orphan_until_its_time(database: Database, owner: Connection[TupleRow]) -> None:
    with prepared_databases(database.dsn, zoo()):
        for scope in ("test", "worker"):
            with isolated_database(
                database.dsn, zoo(), scope="worker" if scope == "worker" else "test"
            ) as place:
                insert(place)
                until = keep(place, for_s=3600.0)
    kept = {one.name: one for one in swept(database.dsn, "databases", min_age_s=0).orphans}
    assert (kept[place.name].removed, kept[place.name].reason) == (False, "kept_for_test")
    assert kept[place.name].detail == f"kept until {until}"
    assert place.name not in {one.name for one in scan(settings(database.dsn), kinds=["database"]).leftovers}
    assert count(place) == 1, "it is as the test left it"
    assert len(databases(owner)) == 2

    for name in databases(owner):
        owner.execute(
            f"COMMENT ON DATABASE {name} IS 'pgwatch-tests: kept until 2020-01-01T00:00:00Z'".encode()
        )
    assert databases(owner) <= {
        one.name for one in scan(settings(database.dsn), kinds=["database"]).leftovers
    }
    swept(database.dsn, "databases", min_age_s=0)
    assert databases(owner) == set()


def test_it_is_made_in_a_tablespace(
    database: Database, owner: Connection[TupleRow], server: EmbeddedServer, no_templates: None
) -> None:
    place = server.directory / "memory"
    place.mkdir()
    place.chmod(0o700)
    stat = server.data_directory.stat()
    os.chown(place, stat.st_uid, stat.st_gid)
    owner.execute(f"CREATE TABLESPACE memory LOCATION '{place}'".encode())
    try:
        with isolated_database(database.dsn, zoo(), tablespace="memory") as own:
            query = (
                "SELECT spcname FROM pg_database JOIN pg_tablespace ON pg_tablespace.oid = dattablespace"
                " WHERE datname = %s"
            )
            assert owner.execute(query, [own.name]).fetchone() == ("memory",)
        drop_templates(database.dsn, 0)
    finally:
        owner.execute("DROP TABLESPACE memory")


def test_the_template_that_somebody_drops_is_built_again(database: Database, no_templates: None) -> None:
    with prepared_databases(database.dsn, zoo()):
        with isolated_database(database.dsn, zoo()):
            pass
        assert len(drop_templates(database.dsn, 0)) == 1
        with isolated_database(database.dsn, zoo()) as place:
            assert count(place) == 0


def test_an_error_of_the_server_is_told(database: Database) -> None:
    with pytest.raises(psycopg.errors.UndefinedObject, match="nowhere"):
        isolated_database(database.dsn, zoo(), tablespace="nowhere").__enter__()


def test_a_pool_outlives_its_template(
    database: Database, owner: Connection[TupleRow], no_templates: None
) -> None:
    with prepared_databases(database.dsn, zoo(), ahead=1):
        with isolated_database(database.dsn, zoo()):
            pass
        wait_until(lambda: len(databases(owner)) == 1)
        assert len(drop_templates(database.dsn, 0)) == 1
        for _ in range(3):
            with isolated_database(database.dsn, zoo()) as place:
                assert count(place) == 0
    assert databases(owner) == set()


def test_a_pool_that_lost_its_session_fills_again(
    database: Database, owner: Connection[TupleRow], caplog: pytest.LogCaptureFixture
) -> None:
    with prepared_databases(database.dsn, zoo(), ahead=1):
        with isolated_database(database.dsn, zoo()) as place:
            wait_until(lambda: len(databases(owner)) == 2)
            [ready] = databases(owner) - {place.name}
            end_leases(owner)
            wait_until(lambda: lease_is_held(owner, place.name) and lease_is_held(owner, ready), timeout_s=30)
            with isolated_database(database.dsn, zoo()) as next_one:
                assert next_one.name == ready, "it is still ours"
            end_leases(owner)
        old = {place.name, next_one.name}
        wait_until(
            lambda: databases(owner) - old and not databases(owner) & old, message="a new one is ready"
        )
    assert "given up" not in caplog.text
    assert databases(owner) == set()


def test_a_database_that_a_sweep_has_taken_is_nobodys(
    database: Database,
    owner: Connection[TupleRow],
    monkeypatch: pytest.MonkeyPatch,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Leases are held in the maintenance database.
    sweeping = connect(database="postgres", autocommit=True)
    monkeypatch.setattr(lease_session, "_PATIENCE", 3)
    with prepared_databases(database.dsn, zoo(), ahead=1):
        with isolated_database(database.dsn, zoo(), scope="worker") as of_worker:
            wait_until(lambda: len(databases(owner)) == 2)
            [ready] = databases(owner) - {of_worker.name}
        # Nobody can connect until a sweep has both of them.
        owner.execute(b"BEGIN; LOCK pg_authid IN ACCESS EXCLUSIVE MODE")
        end_leases(owner)
        for name in (of_worker.name, ready):
            sweeping.execute("SELECT pg_advisory_lock(1885828980, hashtext(%s))", [name])
        owner.execute("COMMIT")
        with (
            isolated_database(database.dsn, zoo()) as one,
            isolated_database(database.dsn, zoo(), scope="worker") as other,
        ):
            assert {one.name, other.name}.isdisjoint((of_worker.name, ready))
            assert (count(one), count(other)) == (0, 0)
    assert databases(owner) == {of_worker.name, ready}, "they are the sweep's to drop"
    for name in (of_worker.name, ready):
        assert f"{name} was given up" in caplog.text
        owner.execute(f"DROP DATABASE {name}".encode())


def test_rows_that_a_policy_hides_are_gone_too(
    database: Database, owner: Connection[TupleRow], make_role: MakeRole, caplog: pytest.LogCaptureFixture
) -> None:
    role = make_role("CREATEDB")

    def migrate(place: IsolatedPlace) -> None:
        with place.connect() as connection:
            connection.execute("CREATE TABLE notes (of_user text)")
            connection.execute("ALTER TABLE notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
            connection.execute("CREATE POLICY own ON notes USING (of_user = 'ada')")

    dsn = make_conninfo(database.dsn, user=role)
    names = set()
    with prepared_databases(dsn, migrate):
        for _ in range(2):
            with isolated_database(dsn, migrate, scope="worker") as place, place.connect() as connection:
                assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)
                connection.execute("INSERT INTO notes VALUES ('ada')")
                names.add(place.name)
    assert len(names) == 1
    assert "row-level security" in caplog.text
    drop_templates(dsn, 0)
    assert databases(owner) == set()
