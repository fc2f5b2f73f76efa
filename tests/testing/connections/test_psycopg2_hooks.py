"""psycopg 2's sessions carry the name of the test that uses them; their commits are put down to it."""

from __future__ import annotations

import secrets
from contextlib import closing
from io import StringIO

import psycopg2
import pytest
import sqlalchemy as sa
from psycopg2 import extensions, extras
from psycopg2.sql import SQL, Identifier
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.testing.connections.commits import Commits
from pgwatch_tests.testing.connections.hooks.psycopg2_hooks import Psycopg2Hooks
from pgwatch_tests.testing.current_test import running
from tests.servers.poolers import pooler
from tests.testing.connections.watch import Watch, name_of

INSERT = "INSERT INTO t (a) VALUES (%s)"
INSERT_A = sa.text("INSERT INTO t (a) VALUES (:a)")
PID = sa.text("SELECT pg_backend_pid()")


def test_connections_are_named_and_their_commits_told(watch: Watch) -> None:
    with running(watch.one):
        connection = psycopg2.connect(watch.database.dsn, application_name="app")
        pid = connection.get_backend_pid()
        assert watch.name(pid) == name_of(watch.one)
        with connection, connection.cursor() as cursor:
            cursor.execute(INSERT, ["a"])
    with closing(connection), running(watch.two):
        for _ in range(2):
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            assert watch.name(pid) == name_of(watch.two)
            connection.rollback()
            assert watch.name(pid) == name_of(watch.two)
        with connection, connection.cursor(cursor_factory=extras.RealDictCursor) as cursor:
            cursor.execute(SQL("INSERT INTO {} (a) VALUES ('b')").format(Identifier("t")))
            extras.execute_values(cursor, "INSERT INTO t (a) VALUES %s", [("c",), ("d",)])
            cursor.copy_expert("COPY t (a) FROM STDIN", StringIO("e\n"))
            cursor.execute("SELECT count(*) AS rows FROM t")
            assert cursor.fetchone() == {"rows": 5}
        with pytest.raises(psycopg2.errors.UniqueViolation), connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO t (a) VALUES ('same'), ('same')")
        with connection.cursor("on the server") as cursor:
            cursor.execute("SELECT a FROM t ORDER BY a")
            assert cursor.fetchone() == ("a",)
        connection.rollback()
        connection.isolation_level = extensions.ISOLATION_LEVEL_SERIALIZABLE
        connection.readonly = True
        with running(watch.one), connection, connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            assert cursor.fetchone() == ("serializable",)
            assert watch.name(pid) == name_of(watch.one)
    assert watch.commits() == [(watch.one, None), (watch.two, None)]


def test_what_cannot_be_asked_is_unknown(watch: Watch) -> None:
    with closing(psycopg2.connect(watch.database.dsn)) as connection, running(watch.one):
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert watch.name(connection.get_backend_pid()) == name_of(watch.one)
            cursor.execute("INSERT INTO t (a) VALUES ('a')")
            cursor.executemany(INSERT, [("b",)])
            cursor.copy_from(StringIO("c\n"), "t", columns=["a"])
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO t (a) VALUES ('d')")
            cursor.execute("COMMIT")
        connection.rollback()
        connection.tpc_begin(connection.xid(1, f"test_{secrets.token_hex(6)}", "x"))
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO t (a) VALUES ('e')")
        connection.tpc_prepare()
        connection.tpc_rollback()
    assert watch.commits() == [(watch.one, "autocommit")] * 3 + [
        (watch.one, "typed"),
        (watch.one, "two_phase"),
    ]


class OwnConnection(extras.DictConnection):
    """A suite's own class of connections."""


def test_a_suite_gets_the_classes_that_it_asks_for(watch: Watch) -> None:
    with (
        running(watch.one),
        closing(psycopg2.connect(watch.database.dsn, connection_factory=OwnConnection)) as connection,
    ):
        assert isinstance(connection, OwnConnection)
        with connection, connection.cursor() as cursor:
            assert isinstance(cursor, extras.DictCursor)
            plain: extensions.cursor = cursor
            plain.execute("INSERT INTO t (a) VALUES ('a') RETURNING a")
            row = cursor.fetchone()
            assert row is not None
            assert row["a"] == "a"
    assert watch.commits() == [(watch.one, None)]


@pytest.mark.parametrize("is_older", [True, False])
def test_an_engine(is_older: bool, watch: Watch) -> None:
    engine = sa.create_engine(watch.url("psycopg2"), pool_size=1)
    if is_older:
        with watch.unhooked(), engine.begin() as connection:
            connection.execute(PID)
    for owner in (watch.one, watch.two):
        with running(owner), Session(engine) as session:
            pid = session.execute(PID).scalar_one()
            assert watch.name(pid) == name_of(owner)
            session.rollback()
            assert watch.name(pid) == name_of(owner)
            session.execute(INSERT_A, {"a": owner.name})
            session.commit()
            assert watch.name(pid) == name_of(owner)
    engine.dispose()
    assert watch.commits() == [(watch.one, None), (watch.two, None)]


def test_engines_without_a_pool_or_transactions(watch: Watch) -> None:
    engine = sa.create_engine(watch.url("psycopg2"), poolclass=NullPool)
    with running(watch.one), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        assert watch.name(connection.execute(PID).scalar_one()) == name_of(watch.one)
        connection.execute(INSERT_A, {"a": "a"})
        connection.commit()
    assert watch.commits() == [(watch.one, "autocommit")]


def test_behind_a_pooler_no_name_outlives_a_transaction(server: EmbeddedServer, watch: Watch) -> None:
    with pooler(server, "transaction", pool_size=1) as pool:
        dsn = pool.dsn(watch.database.name)
        with closing(psycopg2.connect(dsn)) as connection:
            for owner in (watch.one, watch.two):
                with running(owner), connection, connection.cursor() as cursor:
                    cursor.execute(INSERT, [owner.name])
                    cursor.execute("SHOW application_name")
                    assert cursor.fetchone() == (name_of(owner),)
        with closing(psycopg2.connect(dsn)) as other, other.cursor() as cursor:
            cursor.execute("SHOW application_name")
            assert not str(cursor.fetchone()).startswith("('pytest")
    assert watch.commits() == [(watch.one, None), (watch.two, None)]


def test_hooks_that_are_removed_leave_nothing(watch: Watch) -> None:
    watch.drivers.remove()
    before = psycopg2.__dict__["_connect"]
    hooks = Psycopg2Hooks(Commits())
    hooks.install()
    assert psycopg2.__dict__["_connect"] is not before
    with running(watch.one), closing(psycopg2.connect(watch.database.dsn)) as connection:
        hooks.remove()
        assert psycopg2.__dict__["_connect"] is before
        with running(watch.two), connection, connection.cursor() as cursor:
            cursor.execute(INSERT, ["a"])
        assert watch.name(connection.get_backend_pid()) == name_of(watch.one)
    assert watch.told == []
