"""Names that are looked up behind the poll: what is asked for again, and what is kept."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg import AsyncConnection

from pgwatch_tests.locks.naming import catalog_lookups
from pgwatch_tests.locks.naming.object_names import NameCache
from pgwatch_tests.locks.naming.row_lookups import Address, LockedRows
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.session_settings import Row
from pgwatch_tests.settings.load import Dsn, Settings
from tests.locks.looking import look, target_of
from tests.locks.scenarios import rows
from tests.locks.scenarios.cast import Cast


def test_what_took_too_long_is_asked_for_until_it_is_there(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.rows_of_a_partition.play(cast)
    ask, asked = NameCache._read_relations, 0

    async def too_slow_thrice(
        self: NameCache, database: int, keys: list[tuple[int, int]], connection: AsyncConnection[Row]
    ) -> None:
        nonlocal asked
        asked += 1
        if asked <= 3:
            raise psycopg.errors.QueryCanceled
        await ask(self, database, keys, connection)

    monkeypatch.setattr(NameCache, "_read_relations", too_slow_thrice)
    waiter, holder = cast.party("waiter"), cast.party("holder")
    assert target_of(look(cast.dsn), waiter.pid, holder.pid) == "row of bookings_1 (id=1)"


def test_who_looks_once_waits_for_a_connection_that_is_late(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.rows_of_a_partition.play(cast)
    monkeypatch.setattr(catalog_lookups, "_CONNECT_IN_S", 0.001)
    waiter, holder = cast.party("waiter"), cast.party("holder")
    assert target_of(look(cast.dsn), waiter.pid, holder.pid) == "row of bookings_1 (id=1)"


def test_what_is_refused_is_asked_for_once_more_only(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a lock on the catalog: whoever holds it is in no hurry."""
    rows.rows_of_a_partition.play(cast)
    asked = 0

    async def locked(*_: object) -> None:
        nonlocal asked
        asked += 1
        raise psycopg.errors.LockNotAvailable

    monkeypatch.setattr(NameCache, "_read_relations", locked)
    assert look(cast.dsn).snapshot.shown_edges
    assert asked == 2


def test_a_row_is_kept_where_the_clusters_identity_is_unknown(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.rows_of_a_partition.play(cast)
    load, read, addresses = queries.load, LockedRows.read, list[Address]()
    monkeypatch.setattr(
        queries, "load", lambda name: "SELECT 1/0" if name == "server/identity" else load(name)
    )

    async def counted(self: LockedRows, address: Address, *others: object) -> bool:
        addresses.append(address)
        return await read(self, address, *others)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(LockedRows, "read", counted)

    async def poll() -> None:
        async with LiveSource(Settings(dsn=Dsn(cast.dsn, "the test"))) as source:
            for _ in range(2):
                snapshot = await source.read_twice()
                assert snapshot.system_identifier is None

    asyncio.run(poll())
    assert len(addresses) == len(set(addresses)) == 1
