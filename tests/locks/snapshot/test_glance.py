"""A glance tells whether the waits are still the same, and nothing where the lock table doesn't tell."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.snapshot.glance import Glance, read_glance
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings
from tests.locks.scenarios.cast import Cast
from tests.servers.sessions import Database, RunningStatement
from tests.waiting import PATIENCE_S, wait_until

LOCK = "SELECT pg_advisory_xact_lock(42)"
SHARE = "SELECT pg_advisory_xact_lock_shared(42)"


def seen(database: Database) -> Glance | None:
    async def glance() -> Glance | None:
        async with await psycopg.AsyncConnection.connect(
            database.dsn, autocommit=True, application_name=OWN_NAME
        ) as connection:
            return await read_glance(connection, sessions=True)

    return asyncio.run(glance())


def fingerprint(database: Database) -> int:
    glance = seen(database)
    assert glance is not None
    return glance.waits


def test_it_changes_with_each_wait_and_with_nothing_else(cast: Cast, database: Database) -> None:
    holder, first, second, bystander = cast.sessions("holder", "first", "second", "bystander")
    nothing = fingerprint(database)
    holder.execute(LOCK)
    assert fingerprint(database) == nothing
    cast.waits(first, LOCK)
    one = fingerprint(database)
    bystander.execute("SELECT 1")
    assert fingerprint(database) == one != nothing
    waiting = cast.waits(second, SHARE)
    two = fingerprint(database)
    assert two not in (nothing, one)
    second.cancel()
    with pytest.raises(psycopg.errors.QueryCanceled):
        waiting.result()
    assert fingerprint(database) == one


def test_it_changes_with_the_blockers_of_a_wait(cast: Cast, database: Database) -> None:
    one, other, waiter = cast.sessions("one", "other", "waiter")
    one.execute(SHARE)
    other.execute(SHARE)
    cast.waits(waiter, LOCK)
    behind_both = fingerprint(database)
    other.rollback()
    behind_one = fingerprint(database)
    assert behind_one != behind_both
    # What the blocker does is shown beside its name, and says why it blocks.
    one.execute("SELECT 1")
    assert fingerprint(database) != behind_one


def test_sessions_are_the_same_until_one_does_anything(cast: Cast, database: Database) -> None:
    def sessions() -> int:
        """What two looks agree on: while the second one looks, the connection of the first may still end."""
        looks = [0]

        def agrees() -> bool:
            glance = seen(database)
            assert glance is not None
            assert glance.sessions is not None
            looks.append(glance.sessions)
            return looks[-1] == looks[-2]

        wait_until(agrees, message="two looks agree")
        return looks[-1]

    one = cast.session("one", autocommit=True)
    one.execute("SELECT 1")
    before = sessions()
    assert sessions() == before
    one.execute("SELECT 1")
    after = sessions()
    assert after != before
    # Ours only look; but a sweep is one of them, too.
    with psycopg.connect(database.dsn, application_name=OWN_NAME, autocommit=True) as ours:
        beside = sessions()
        ours.execute("SELECT 1")
        assert sessions() == beside != after
    wait_until(lambda: sessions() == after, message="ours has gone")
    other = cast.session("other")
    assert sessions() != after
    other.close()
    wait_until(lambda: sessions() == after, message="the other session has gone")


def test_it_tells_nothing_of_who_waits_for_a_safe_snapshot(cast: Cast, database: Database) -> None:
    writer, reader = cast.session("writer"), cast.session("reader", autocommit=True)
    cast.run("CREATE TABLE t (n int)")
    writer.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    writer.execute("INSERT INTO t VALUES (1)")
    RunningStatement(reader, "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; SELECT * FROM t", ())
    cast.until_event(reader, "SafeSnapshot")
    assert seen(database) is None


def test_it_tells_nothing_while_somebody_wants_a_database(cast: Cast, database: Database) -> None:
    wanted = cast.another_database()
    owner = cast.session("owner", autocommit=True)
    inside = cast.session("inside", database=wanted)
    inside.execute("SELECT 1")
    cast.needs_alone(owner, f'ALTER DATABASE "{wanted}" RENAME TO "{wanted}_2"')
    assert seen(database) is None


async def test_a_source_glances_once_it_has_read(cast: Cast, database: Database) -> None:
    holder, waiter = cast.sessions("holder", "waiter")
    holder.execute(LOCK)
    cast.waits(waiter, LOCK)
    async with LiveSource(Settings(dsn=Dsn(database.dsn, "the test"))) as source:
        assert await source.glance(sessions=True) is None
        snapshot = await source.read(PATIENCE_S)
        one, other = await source.glance(sessions=True), await source.glance(sessions=True)
    assert one is not None
    assert other is not None
    assert (one.waits, one.sessions) == (other.waits, other.sessions)
    assert snapshot.sampled_at < one.sampled_at < other.sampled_at
