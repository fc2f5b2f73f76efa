"""A schema is a test's own, by whatever driver, and gone afterwards."""

from __future__ import annotations

import asyncio
import secrets

import asyncpg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow
from sqlalchemy import create_engine, text

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import RefusedError
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.sweep.orphans.orphan_names import is_orphan_name
from pgwatch_tests.testing import (
    IsolatedPlace,
    drop_templates,
    findings,
    isolated_database,
    isolated_schema,
    lease_session,
)
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.testing.isolation.isolated_place import without_password
from pgwatch_tests.testing.isolation.own_sessions import own_sessions
from tests.leaks.scanning import settings
from tests.servers.poolers import pooler
from tests.servers.sessions import Database, MakeRole
from tests.sweep.orphans.sweeping import exists
from tests.testing.isolation.catalogs import zoo
from tests.testing.isolation.held_leases import end_leases, lease_is_held
from tests.waiting import wait_until

INSERT = "INSERT INTO users (email) VALUES (gen_random_uuid() || '@b')"


def count(place: IsolatedPlace) -> int:
    """How many users there are, by another connection."""
    with place.connect() as connection:
        (number,) = connection.execute("SELECT count(*) FROM users").fetchone() or (0,)
        return int(number)


def by_psycopg(place: IsolatedPlace) -> None:
    with place.connect(autocommit=True) as connection:
        connection.execute(INSERT)


def by_engine(place: IsolatedPlace) -> None:
    engine = place.engine(pool_size=1, max_overflow=0)
    for _ in range(2):
        with engine.connect() as connection:
            connection.execute(text(INSERT))
            connection.rollback()
    with engine.begin() as connection:
        connection.execute(text(INSERT))


def by_url(place: IsolatedPlace) -> None:
    for driver in ("psycopg", "psycopg2"):
        engine = create_engine(place.dsn.replace("postgresql", f"postgresql+{driver}", 1))
        with engine.connect() as connection:
            connection.execute(text(INSERT))
            if driver == "psycopg":
                connection.commit()
        engine.dispose()


def by_async_engine(place: IsolatedPlace, driver: str = "psycopg") -> None:
    async def insert() -> None:
        engine = place.async_engine("asyncpg" if driver == "asyncpg" else "psycopg")
        async with engine.begin() as connection:
            await connection.execute(text(INSERT))

    asyncio.run(insert())


def by_asyncpg_engine(place: IsolatedPlace) -> None:
    by_async_engine(place, "asyncpg")


def by_asyncpg_url(place: IsolatedPlace) -> None:
    async def insert() -> None:
        connection = await asyncpg.connect(place.dsn)
        await connection.execute(INSERT)
        await connection.close()

    asyncio.run(insert())


def by_asyncpg_pool(place: IsolatedPlace) -> None:
    async def insert() -> None:
        async with asyncpg.create_pool(**place.asyncpg_arguments(), min_size=1, max_size=1) as pool:
            # What a test has set is reset when the pool takes the connection back; the search path stays.
            async with pool.acquire() as connection:
                await connection.execute("SET search_path = pg_catalog")
            await pool.execute(INSERT)

    asyncio.run(insert())


WAYS = [by_psycopg, by_engine, by_url, by_async_engine, by_asyncpg_engine, by_asyncpg_url, by_asyncpg_pool]


def test_each_driver_works_in_it(database: Database) -> None:
    with isolated_schema(database.dsn, zoo()) as place:
        for done, way in enumerate(WAYS, 1):
            way(place)
            assert count(place) == done, way.__name__
    assert is_orphan_name(place.name)


def test_two_are_apart_and_both_go(database: Database, owner: Connection[TupleRow]) -> None:
    with isolated_schema(database.dsn, zoo()) as one, isolated_schema(database.dsn, zoo()) as other:
        by_psycopg(one)
        assert (count(one), count(other)) == (1, 0)
        alive = scan(settings(database.dsn), kinds=["schema"]).leftovers
        assert alive == ()
    assert not exists(owner, one.name)
    assert not exists(owner, other.name)
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    wait_until(lambda: owner.execute(query).rowcount == 0, message="no session of ours stays")


async def test_it_is_an_asynchronous_context_manager(database: Database, owner: Connection[TupleRow]) -> None:
    async with isolated_schema(database.dsn, zoo()) as place:
        assert exists(owner, place.name)
    assert not exists(owner, place.name)


def test_it_can_be_entered_again(database: Database) -> None:
    resource = isolated_schema(database.dsn)
    with resource as one, resource as other:
        assert one.name != other.name
    with resource as another:
        assert another.name not in (one.name, other.name)


def test_it_goes_after_a_failure(database: Database, owner: Connection[TupleRow]) -> None:
    with pytest.raises(ZeroDivisionError), isolated_schema(database.dsn, zoo()):
        raise ZeroDivisionError
    assert owner.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'test%'").fetchall() == []


CONTENTS = """
CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN word AS text; CREATE TYPE pair AS (a int, b mood);
CREATE TABLE t (id serial, m mood, w word); CREATE TABLE p (i int) PARTITION BY RANGE (i);
CREATE TABLE p1 PARTITION OF p DEFAULT; CREATE VIEW v AS SELECT * FROM t;
CREATE MATERIALIZED VIEW m AS SELECT * FROM v; CREATE SEQUENCE s;
CREATE TABLE i (id int GENERATED ALWAYS AS IDENTITY);
CREATE FUNCTION f(t) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE pr() LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER tr AFTER INSERT ON t EXECUTE FUNCTION tr();
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int); CREATE TABLE "odd ""name" ()
"""


@pytest.mark.parametrize(
    "more", ["", "; CREATE OPERATOR %% (RIGHTARG = int, FUNCTION = int4abs)".replace("%%", "@@")]
)
def test_all_that_is_in_it_goes(more: str, database: Database, owner: Connection[TupleRow]) -> None:
    def make(place: IsolatedPlace) -> None:
        with place.session() as connection:
            connection.execute((CONTENTS + more).encode())

    with isolated_schema(database.dsn, make) as place:
        assert exists(owner, place.name)
    assert not exists(owner, place.name)


def test_what_others_made_of_it_stays(database: Database, owner: Connection[TupleRow]) -> None:
    def leave() -> str:
        with isolated_schema(database.dsn, zoo()) as place:
            owner.execute(sql.SQL("CREATE VIEW v AS SELECT FROM {}.users").format(sql.Identifier(place.name)))
            return place.name

    with pytest.raises(RefusedError, match=r"view public\.v would be dropped with it"):
        leave()
    assert owner.execute("SELECT 1 FROM pg_views WHERE viewname = 'v'").fetchone()


def test_a_session_that_is_lost_is_opened_again_and_takes_its_leases(
    database: Database, owner: Connection[TupleRow]
) -> None:
    with own_sessions(database.dsn):
        with isolated_schema(database.dsn, zoo()) as place:
            end_leases(owner)
            # Nobody uses it meanwhile.
            wait_until(lambda: lease_is_held(owner, place.name), timeout_s=30)
            assert count(place) == 0
            end_leases(owner)
        assert not exists(owner, place.name)
        with isolated_schema(database.dsn, zoo()) as place:
            assert count(place) == 0


def test_what_a_sweep_has_taken_meanwhile_is_given_up(
    database: Database,
    owner: Connection[TupleRow],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(lease_session, "_PATIENCE", 3)
    told: list[Finding] = []
    stop = findings.listen(told.append)
    with isolated_schema(database.dsn) as place, isolated_schema(database.dsn) as other:
        # The sweep takes one before its owner is back, and has the lease of the other.
        owner.execute(b"BEGIN; LOCK pg_authid IN ACCESS EXCLUSIVE MODE")
        end_leases(owner)
        owner.execute(f"DROP SCHEMA {place.name}".encode())
        owner.execute("SELECT pg_advisory_lock(1885828980, hashtext(%s))", [other.name])
        owner.execute("COMMIT")
    stop()
    assert not exists(owner, place.name)
    assert exists(owner, other.name), "it isn't ours to drop"
    assert [(one.kind, one.fails, one.reason.split()[0]) for one in told] == [
        ("not_checked", False, other.name),
        ("not_checked", False, place.name),
    ]
    assert f"{other.name} was given up: the session that held its lease was lost" in caplog.text


def test_a_pooler_is_refused(database: Database, server: EmbeddedServer) -> None:
    words = "a lease needs a session of its own, but a connection pooler is in between: connect to the server"
    with pooler(server, "transaction") as running:
        for make in (isolated_schema, isolated_database):
            with pytest.raises(RefusedError, match=words):
                make(running.dsn(database.name)).__enter__()


def test_a_plain_role_may_have_one(
    database: Database, owner: Connection[TupleRow], server: EmbeddedServer, make_role: MakeRole
) -> None:
    plain = make_role("CREATEDB")
    owner.execute(
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
            sql.Identifier(database.name), sql.Identifier(plain)
        )
    )
    dsn = server.dsn(database.name, plain)
    with isolated_schema(dsn, zoo()) as place:
        by_psycopg(place)
    assert not exists(owner, place.name)
    with isolated_database(dsn, zoo()) as own:
        by_psycopg(own)
    assert len(drop_templates(dsn, 0)) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql+psycopg://u:p%40ss@h:5433/app?schema=public", "postgresql://u:p%40ss@h:5433/test_x"),
        ("host=/tmp/s user=u dbname=app", "postgresql://u@/test_x?host=/tmp/s"),
        ("host=a,b port=1,2", "postgresql:///test_x?host=a%2Cb&port=1%2C2"),
        ("host=::1 dbname=app", "postgresql:///test_x?host=%3A%3A1"),
        ("", "postgresql:///test_x"),
    ],
)
def test_the_dsn_is_a_url(given: str, expected: str) -> None:
    assert IsolatedPlace.database(given, "test_x").dsn == expected


def test_options_of_the_dsn_stay(database: Database) -> None:
    dsn = f"{database.dsn}&options=-c%20work_mem%3D1234kB"
    with isolated_schema(dsn) as place, place.connect() as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("1234kB",)


def test_a_password_isnt_shown() -> None:
    secret = secrets.token_hex()
    place = IsolatedPlace.schema(f"postgresql://u:{secret}@h/app", "test_x")
    assert secret in place.dsn
    assert secret not in repr(place)
    assert secret not in without_password(place.dsn)
    assert "search_path" in without_password(place.dsn)
