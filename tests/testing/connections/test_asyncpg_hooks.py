"""asyncpg's sessions carry the name of the test that uses them; their commits are put down to it."""

from __future__ import annotations

import asyncio

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.ext.asyncio import create_async_engine

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.testing.connections.commits import Commits
from pgwatch_tests.testing.connections.hooks.asyncpg_hooks import AsyncpgHooks
from pgwatch_tests.testing.current_test import acting_for, running
from tests.servers.poolers import pooler
from tests.testing.connections.watch import Watch, name_of

INSERT = "INSERT INTO t (a) VALUES ($1)"


async def test_connections_are_named_and_their_commits_told(watch: Watch) -> None:
    with running(watch.one):
        connection = await asyncpg.connect(watch.database.dsn, server_settings={"application_name": "app"})
        pid = connection.get_server_pid()
        assert watch.name(pid) == name_of(watch.one)
        async with connection.transaction():
            await connection.execute("INSERT INTO t (a) VALUES ('a')")
            await connection.execute(INSERT, "b")
    with running(watch.two):
        async with connection.transaction():
            assert watch.name(pid) == name_of(watch.two)
            await connection.fetch("SELECT 1")
        for isolation in ("read_committed", "repeatable_read", "serializable"):
            async with connection.transaction(isolation=isolation, readonly=True, deferrable=True):
                assert await connection.fetchval("SHOW transaction_isolation") == isolation.replace("_", " ")
        async with connection.transaction():
            await connection.executemany(INSERT, [("c",), ("d",)])
            async with connection.transaction():
                await connection.execute(INSERT, "e")
        assert watch.name(pid) == name_of(watch.two)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(INSERT, "gone")
        await transaction.rollback()
        assert watch.name(pid) == name_of(watch.two)
    await connection.close()
    assert watch.commits() == [(watch.one, None), (watch.two, None)]


async def test_statements_outside_of_a_transaction_are_named_and_unknown(watch: Watch) -> None:
    with running(watch.one):
        connection = await asyncpg.connect(watch.database.dsn)
    pid = connection.get_server_pid()
    statement = await connection.prepare(INSERT)
    with running(watch.two):
        assert await connection.fetchval("SELECT 1") == 1
        assert watch.name(pid) == name_of(watch.two)
        await connection.execute("INSERT INTO t (a) VALUES ('a')")
        await connection.execute(INSERT, "b")
        await connection.executemany(INSERT, [("c",)])
        await connection.copy_records_to_table("t", columns=["a"], records=[("d",)])
    with running(watch.one):
        await statement.fetch("e")
        assert watch.name(pid) == name_of(watch.one)
        await connection.execute("BEGIN; INSERT INTO t (a) VALUES ('f')")
        await connection.execute("INSERT INTO t (a) VALUES ('g'); COMMIT")
    await connection.close()
    two, one = (watch.two, "autocommit"), (watch.one, "autocommit")
    assert watch.commits() == [two, two, two, two, one, one, (watch.one, "typed")]
    assert sum(watch.writers().values()) == 7


async def test_a_commit_that_fails_fails_as_without_us(watch: Watch) -> None:
    connection = await asyncpg.connect(watch.database.dsn)
    with running(watch.one):
        with pytest.raises(asyncpg.UniqueViolationError):
            async with connection.transaction():
                await connection.execute("INSERT INTO t (a) VALUES ('same'), ('same')")
        assert not connection.is_in_transaction()
        await connection.execute("BEGIN")
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.execute("SELECT * FROM nowhere")
        assert await connection.execute("COMMIT") == "ROLLBACK"
        with pytest.raises(TimeoutError):
            async with connection.transaction():
                await connection.execute("SELECT pg_sleep(5)", timeout=0.05)
        assert await connection.fetchval("SELECT count(*) FROM t") == 0
    await connection.close()
    assert watch.told == []


async def test_the_database_is_told_with_the_search_path(watch: Watch) -> None:
    path = '"test_1_2_a\\ b", public'
    connection = await asyncpg.connect(watch.database.dsn, server_settings={"search_path": path})
    with running(watch.one):
        await connection.execute("INSERT INTO t (a) VALUES ('a')")
    await connection.close()
    [commit] = watch.told
    with psycopg.connect(commit.database.dsn) as again:
        assert again.execute("SHOW search_path").fetchone() == (path,)


async def test_a_pool_hands_a_session_on_under_the_next_name(watch: Watch) -> None:
    queries: list[str] = []

    def log(record: object) -> None:
        queries.append(getattr(record, "query", ""))

    with running(watch.one):
        pool = await asyncpg.create_pool(watch.database.dsn, min_size=1, max_size=1)
        async with pool.acquire() as connection:
            pid = connection.get_server_pid()
    async with pool:
        for owner in (watch.one, watch.two):
            with running(owner):
                async with pool.acquire() as connection, connection.transaction():
                    await connection.execute(INSERT, owner.name)
                    assert watch.name(pid) == name_of(owner)
                async with pool.acquire() as connection:
                    await connection.execute("SET work_mem = '1MB'")
                    assert watch.name(pid) == name_of(owner)
                # Released, with RESET ALL.
                assert watch.name(pid) == name_of(owner)
        async with pool.acquire() as connection:
            assert await connection.fetchval("SHOW work_mem") != "1MB"
            with connection.query_logger(log):
                async with connection.transaction():
                    await connection.execute("SELECT 1")
    assert watch.commits() == [(watch.one, None), (watch.two, None)]
    assert watch.reasons == []
    assert queries == ["BEGIN;", "SELECT 1", "COMMIT;"]


async def test_tasks_keep_their_owner(watch: Watch) -> None:
    go_on = asyncio.Event()

    async def write(text: str) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(INSERT, text)
            if text == "late":
                await go_on.wait()

    async with asyncpg.create_pool(watch.database.dsn, min_size=2, max_size=2) as pool:
        with acting_for(watch.one):
            late = asyncio.create_task(write("late"))
            await asyncio.sleep(0)
        watch.one.end()
        with running(watch.two):
            await write("next")
            go_on.set()
            await late
    assert watch.commits() == [(watch.two, None), (watch.one, None)]
    assert [commit.is_late for commit in watch.told] == [False, True]


@pytest.mark.parametrize("options", ["", "&prepared_statement_cache_size=0"])
async def test_an_async_engine_from_before_the_hooks(options: str, watch: Watch) -> None:
    with watch.unhooked():
        engine = create_async_engine(watch.url("asyncpg") + options, pool_size=1)
        async with engine.begin() as connection:
            pid = (await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one()
    for owner in (watch.one, watch.two):
        with running(owner):
            async with engine.begin() as connection:
                await connection.execute(sa.text("INSERT INTO t (a) VALUES (:a)"), {"a": owner.name})
                assert watch.name(pid) == name_of(owner)
            async with engine.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))
                await connection.rollback()
                assert watch.name(pid) == name_of(owner)
    await engine.dispose()
    assert watch.commits() == [(watch.one, None), (watch.two, None)]


async def test_behind_a_pooler_no_name_outlives_a_transaction(server: EmbeddedServer, watch: Watch) -> None:
    with pooler(server, "transaction", pool_size=1) as pool:
        place = conninfo_to_dict(pool.dsn(watch.database.name))
        connection = await asyncpg.connect(
            host=place["host"],
            port=place["port"],
            database=place["dbname"],
            user=place["user"],
            statement_cache_size=0,
        )
        for owner in (watch.one, watch.two):
            with running(owner):
                async with connection.transaction():
                    await connection.execute(f"INSERT INTO t (a) VALUES ('{owner.number}')")  # noqa: S608
                    assert await connection.fetchval("SHOW application_name") == name_of(owner)
                assert not str(await connection.fetchval("SHOW application_name")).startswith("pytest")
        await connection.close()
    assert [owner for owner, unknown in watch.commits() if unknown is None] == [watch.one, watch.two]


def test_hooks_that_are_removed_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(vars(asyncpg.Connection))
    hooks = AsyncpgHooks(Commits())
    hooks.install()
    assert vars(asyncpg.Connection)["execute"] is not before["execute"]
    hooks.remove()
    assert dict(vars(asyncpg.Connection)) == before

    async def renamed(self: object, statement: str) -> None: ...

    monkeypatch.setattr(asyncpg.Connection, "execute", renamed)
    hooks = AsyncpgHooks(Commits())
    hooks.install()
    hooks.remove()
    assert hooks.missing == ("Connection.execute",)
