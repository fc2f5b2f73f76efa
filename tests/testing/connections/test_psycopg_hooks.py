"""psycopg's sessions carry the name of the test that uses them; their commits are put down to it."""

from __future__ import annotations

import asyncio
import secrets

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import AsyncConnection, BaseConnection
from sqlalchemy.ext.asyncio import create_async_engine

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.postgres.connections.connect import connect as connect_own
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn
from pgwatch_tests.testing.connections.commits import Commit, Commits
from pgwatch_tests.testing.connections.hooks.psycopg_hooks import PsycopgHooks
from pgwatch_tests.testing.current_test import Owner, running
from tests.servers.poolers import pooler
from tests.servers.sessions import Connect
from tests.testing.connections.watch import Watch, name_of

LIMITS = SessionLimits(1.0, 1.0)


def test_a_session_is_named_from_its_start_whatever_the_dsn_says(watch: Watch) -> None:
    with running(watch.one), psycopg.connect(watch.database.dsn, application_name="app") as connection:
        assert watch.name(connection.info.backend_pid) == name_of(watch.one)


def test_a_session_takes_the_name_of_the_next_test_for_good(watch: Watch) -> None:
    with running(watch.one):
        connection = psycopg.connect(watch.database.dsn)
    pid = connection.info.backend_pid
    with connection, running(watch.two):
        for _ in range(2):
            connection.execute("SELECT 1")
            assert watch.name(pid) == name_of(watch.two)
            connection.rollback()
        assert watch.name(pid) == name_of(watch.two)
        with running(watch.one):
            connection.execute("SELECT 1")
            assert watch.name(pid) == name_of(watch.one)


def test_a_session_from_before_the_plugin_is_named(watch: Watch, connect: Connect) -> None:
    connection = connect(application_name="app")
    with running(watch.one):
        with connection.transaction():
            connection.execute("SELECT 1")
            assert watch.name(connection.info.backend_pid) == name_of(watch.one)
        connection.execute("SELECT 1")
        assert watch.name(connection.info.backend_pid) == name_of(watch.one)


def test_a_late_transaction_keeps_its_name_until_its_end(watch: Watch) -> None:
    with running(watch.one):
        connection = psycopg.connect(watch.database.dsn)
        connection.execute("INSERT INTO t (a) VALUES ('late')")
    with connection, running(watch.two):
        connection.execute("SELECT 1")
        assert watch.name(connection.info.backend_pid) == name_of(watch.one)
        connection.commit()
    assert [commit.owner for commit in watch.told] == [watch.one]


def test_commits_are_told_with_their_id_and_owner(watch: Watch) -> None:
    with psycopg.connect(watch.database.dsn) as connection:
        with running(watch.one):
            connection.execute("INSERT INTO t (a) VALUES ('a'), ('b')")
            connection.commit()
        with running(watch.two):
            connection.execute("SELECT 1")
            connection.commit()
            with connection.transaction(), connection.transaction():
                connection.execute("SAVEPOINT s")
                connection.execute("INSERT INTO t (a) VALUES ('c')")
            connection.execute("INSERT INTO t (a) VALUES ('gone')")
            connection.rollback()
    assert [(commit.owner, commit.unknown) for commit in watch.told] == [(watch.one, None), (watch.two, None)]
    first, second = (commit.xid or 0 for commit in watch.told)
    assert watch.writers()[first & 0xFFFFFFFF] == 2
    assert second > first
    assert {commit.database.name for commit in watch.told} == {watch.database.name}


def test_a_commit_that_fails_fails_as_without_us(watch: Watch) -> None:
    with psycopg.connect(watch.database.dsn) as connection, running(watch.one):
        connection.execute("INSERT INTO t (a) VALUES ('same'), ('same')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.commit()
        assert connection.info.transaction_status.name == "IDLE"
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere")
        connection.commit()
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    assert watch.told == []


@pytest.mark.parametrize("isolation", list(psycopg.IsolationLevel))
def test_whatever_kind_of_transaction_begins(isolation: psycopg.IsolationLevel, watch: Watch) -> None:
    with psycopg.connect(watch.database.dsn) as connection:
        connection.isolation_level = isolation
        connection.read_only = connection.deferrable = True
        for owner in (watch.one, watch.two):
            with running(owner):
                # Before any query of the transaction, or it would be refused.
                connection.execute("SET TRANSACTION READ WRITE")
                shown = connection.execute("SHOW transaction_isolation").fetchone()
                assert shown == (isolation.name.lower().replace("_", " "),)
                connection.execute("INSERT INTO t (a) VALUES (%s)", [owner.name])
                connection.rollback()
                connection.deferrable = False


def test_autocommit_is_named_and_counted_as_unknown(watch: Watch, connect: Connect) -> None:
    connection = connect(application_name="app", autocommit=True)
    with running(watch.one):
        connection.execute("SELECT 1")
        assert watch.name(connection.info.backend_pid) == name_of(watch.one)
        assert watch.told == []
        connection.execute("VACUUM t")
        connection.execute("INSERT INTO t (a) VALUES ('a')")
        with connection.cursor().copy("COPY t (a) FROM STDIN") as copy:
            copy.write_row(["b"])
    assert [(commit.owner, commit.xid, commit.unknown) for commit in watch.told] == [
        (watch.one, None, "autocommit")
    ] * 3


def test_a_commit_that_the_test_has_typed_is_unknown(watch: Watch, connect: Connect) -> None:
    connection = connect(autocommit=True)
    with running(watch.one):
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t (a) VALUES ('a')")
        connection.execute(" commit")
    assert [commit.unknown for commit in watch.told] == ["typed"]


def test_two_phase_commits_are_unknown(watch: Watch) -> None:
    with psycopg.connect(watch.database.dsn) as connection, running(watch.one):
        gid = f"test_{secrets.token_hex(6)}"
        connection.tpc_begin(gid)
        connection.execute("INSERT INTO t (a) VALUES ('a')")
        connection.tpc_prepare()
        connection.tpc_rollback()
    assert [commit.unknown for commit in watch.told] == ["two_phase"]


def test_a_pipeline_works_as_without_us(watch: Watch) -> None:
    with psycopg.connect(watch.database.dsn) as connection:
        for owner in (watch.one, watch.two):
            with running(owner):
                with connection.pipeline():
                    connection.execute("INSERT INTO t (a) VALUES (%s)", [owner.name])
                    connection.commit()
                    shown = connection.execute("SELECT count(*) FROM t").fetchone()
                connection.commit()
                connection.execute("SELECT 1")
                assert watch.name(connection.info.backend_pid) == name_of(owner)
                connection.commit()
        assert shown == (2,)
    assert [(commit.owner, commit.unknown) for commit in watch.told] == [
        (watch.one, "pipeline"),
        (watch.two, "pipeline"),
    ]


async def test_async_connections(watch: Watch) -> None:
    with running(watch.one):
        connection = await AsyncConnection.connect(watch.database.dsn, application_name="app")
        assert await asyncio.to_thread(watch.name, connection.info.backend_pid) == name_of(watch.one)
    async with connection:
        with running(watch.two):
            await connection.execute("INSERT INTO t (a) VALUES ('a')")
            assert watch.name(connection.info.backend_pid) == name_of(watch.two)
            await connection.commit()
    assert [(commit.owner, commit.xid is None) for commit in watch.told] == [(watch.two, False)]


def test_an_engine_from_before_the_hooks(watch: Watch) -> None:
    engine = sa.create_engine(watch.url("psycopg"), pool_size=1)
    insert = sa.text("INSERT INTO t (a) VALUES (:a)")
    pids = set()
    try:
        for owner in (watch.one, watch.two):
            with running(owner), engine.begin() as connection:
                connection.execute(insert, {"a": owner.name})
                pids.add(pid := connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())
                assert watch.name(pid) == name_of(owner)
    finally:
        engine.dispose()
    assert len(pids) == 1
    assert [commit.owner for commit in watch.told] == [watch.one, watch.two]
    assert all(commit.xid for commit in watch.told)


async def test_an_async_engine(watch: Watch) -> None:
    engine = create_async_engine(watch.url("psycopg"))
    with running(watch.one):
        async with engine.begin() as connection:
            await connection.execute(sa.text("INSERT INTO t (a) VALUES ('a')"))
    await engine.dispose()
    assert [(commit.owner, commit.xid is None) for commit in watch.told] == [(watch.one, False)]


def test_behind_a_pooler_no_name_outlives_a_transaction(server: EmbeddedServer, watch: Watch) -> None:
    with pooler(server, "transaction", pool_size=1) as pool:
        dsn = pool.dsn(watch.database.name)
        connection = psycopg.connect(dsn, prepare_threshold=None)
        with connection:
            for owner in (watch.one, watch.two):
                with running(owner), connection.transaction():
                    connection.execute("INSERT INTO t (a) VALUES (%s)", [owner.name])
                    shown = connection.execute("SHOW application_name").fetchone()
                    assert shown == (name_of(owner),)
        with psycopg.connect(dsn, prepare_threshold=None) as other:
            shown = other.execute("SHOW application_name").fetchone()
            assert shown is not None
            assert not str(shown[0]).startswith("pytest")
    assert [commit.owner for commit in watch.told] == [watch.one, watch.two]


def test_connections_of_this_package_are_left_alone(watch: Watch) -> None:
    dsn = Dsn(watch.database.dsn, "test")
    with running(watch.one), connect_own(dsn, LIMITS, connect_timeout_s=5.0) as connection:
        assert watch.name(connection.info.backend_pid) == "pgwatch-tests"
    assert watch.told == []


def test_hooks_that_are_removed_leave_nothing() -> None:
    before = BaseConnection.__dict__["_exec_command"], BaseConnection.__dict__["_connect_gen"]
    hooks = PsycopgHooks(Commits())
    hooks.install()
    assert BaseConnection.__dict__["_exec_command"] is not before[0]
    hooks.remove()
    assert (BaseConnection.__dict__["_exec_command"], BaseConnection.__dict__["_connect_gen"]) == before


def test_a_method_that_has_changed_is_not_hooked(monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(self: object, statement: object) -> None: ...

    monkeypatch.setattr(BaseConnection, "_exec_command", renamed)
    hooks = PsycopgHooks(Commits())
    hooks.install()
    try:
        assert hooks.missing == ("BaseConnection._exec_command",)
        assert BaseConnection.__dict__["_exec_command"] is renamed
    finally:
        hooks.remove()


def test_a_listener_that_fails_fails_no_commit(watch: Watch) -> None:
    commits = Commits()

    def fail(_: Commit) -> None:
        raise ZeroDivisionError

    ran: list[tuple[Owner, str, str]] = []
    commits.listen(fail)
    commits.listen_to_statements(lambda owner, of, text: ran.append((owner, of.name, text)))
    hooks = PsycopgHooks(commits)
    hooks.install()
    try:
        with running(watch.one), psycopg.connect(watch.database.dsn) as connection:
            connection.execute("INSERT INTO t (a) VALUES ('a')")
    finally:
        hooks.remove()
    assert ran == [(watch.one, watch.database.name, "INSERT INTO t (a) VALUES ('a')")]
    assert isinstance(commits.trouble, ZeroDivisionError)
    assert sum(watch.writers().values()) == 1
