"""Snapshot query: the waits of the whole server, read in one round trip by queries/locks.sql."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Protocol

from psycopg import AsyncConnection

from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.model import LockSnapshot, LockTag, Party, PreparedTransaction, Session
from pgwatch_tests.locks.snapshot.edge_groups import edge_groups
from pgwatch_tests.locks.snapshot.lock_table import LockTable
from pgwatch_tests.locks.snapshot.process_row import HIDDEN, OURS, ProcessRow, short_text
from pgwatch_tests.locks.waits import database_wait, wait_target
from pgwatch_tests.locks.waits.named_locks import with_named_locks
from pgwatch_tests.postgres import queries, version
from pgwatch_tests.postgres.connections.connection import is_pooled
from pgwatch_tests.postgres.connections.own_backends import OWN_BACKENDS
from pgwatch_tests.postgres.stored_text import bytes_of_text, decode
from pgwatch_tests.text.secrets import mask_name, mask_statement

_SHORT = 4096
_MANY_WITH_LOCKS = 500


class OwnerNames(Protocol):
    """Names of databases and roles, as far as they are known already."""

    def database(self, oid: int | None) -> str | None:
        """A database's name."""

    def role(self, oid: int | None) -> str | None:
        """A role's name."""


async def read(
    connection: AsyncConnection[tuple[object, ...]],
    database: str,
    server: str,
    names: OwnerNames | None = None,
) -> LockSnapshot:
    """Returns one poll, nothing confirmed. `database` and `server` are its labels.

    Of all names, only those of the sessions' databases and roles are there, where `names` has them.
    Raises psycopg's errors; bounded by the connection's statement_timeout and by the caller's deadline.
    """
    cursor = connection.cursor(binary=True)
    bytes_of_text(cursor)
    await cursor.execute(queries.load("locks"), prepare=True)
    rows = with_own_names([ProcessRow._make(row) for row in await cursor.fetchall()], OWN_BACKENDS.recent())
    server_version = version.in_words(connection.info.server_version)
    made = partial(snapshot, rows, server_version, database, server, names)
    # Of thousands it takes as long as a key may take to be answered: so beside the loop.
    is_long = sum(row.locks is not None for row in rows) > _MANY_WITH_LOCKS
    found = await asyncio.to_thread(made) if is_long else made()
    return replace(found, pooled=True) if is_pooled(connection) else found


def with_own_names(rows: Sequence[ProcessRow], own: Container[int]) -> Sequence[ProcessRow]:
    """The rows, with our name for those of our processes `own` that have none yet."""
    return [
        row if row.application_name or row.pid not in own else row._replace(application_name=OURS)
        for row in rows
    ]


def snapshot(
    rows: Sequence[ProcessRow],
    server_version: str,
    database: str,
    server: str,
    names: OwnerNames | None = None,
) -> LockSnapshot:
    """The snapshot that the rows of queries/locks.sql say. Pure."""
    own = next(row for row in rows if row.server is not None)
    assert own.server is not None
    sampled_at, server_started, capacity, shut_databases, spent_s = own.server
    table = LockTable(rows)
    groups = list(edge_groups(rows, table, sampled_at))
    sessions = tuple(_session(row, names) for row in rows if row.pid)
    prepared = tuple(_prepared(row) for row in rows if not row.pid)
    if table.wanted_databases:
        waiting = {group.waiter.pid for group in groups} | {row.pid for row in rows if row.blockers}
        workers = {row.pid for row in rows if row.leader_pid}
        groups += database_wait.groups(
            _database_holders(sessions, table, waiting),
            [session for session in sessions if session.pid not in workers],
            prepared,
        )
    most, reserved, max_locked, locked = capacity
    return LockSnapshot(
        sampled_at=datetime.fromtimestamp(sampled_at, UTC),
        server_version=server_version,
        database=database,
        server=server,
        sessions=sessions,
        prepared=prepared,
        groups=tuple(with_named_locks(wait_target.with_creations(groups, sessions), sessions)),
        spent_s=spent_s,
        capacity=Capacity(sum(session.is_client for session in sessions), most, reserved, locked, max_locked),
        server_started=datetime.fromtimestamp(server_started, UTC),
        own_database=own.datid,
        wanted_databases=table.wanted_databases,
        shut_databases=frozenset(shut_databases or ()),
    )


def _database_holders(
    sessions: Iterable[Session], table: LockTable, waiting: Container[int]
) -> Iterator[tuple[Session, LockTag, str]]:
    """Yields the sessions that have a database for themselves, and wait for no lock; never our look-ups."""
    for session in sessions:
        for lock in table.of.get(Party(session.pid), ()):
            if (
                lock.granted
                and session.pid not in waiting
                and database_wait.is_for_itself(lock.tag, lock.mode)
            ):
                yield session, lock.tag, lock.mode


def _session(row: ProcessRow, names: OwnerNames | None) -> Session:
    # Called for hundreds of sessions with every poll: by position, and with no more calls than it needs.
    hidden = row.query == HIDDEN
    start, kind, name, client = _who(
        row.backend_start, row.backend_type, row.application_name, row.client_addr, row.client_port
    )
    return Session(
        row.pid,
        start,
        kind,
        row.datid or None,
        row.usesysid or None,
        names.database(row.datid) if names else None,
        names.role(row.usesysid) if names else None,
        name,
        client,
        short_text(row.state),
        short_text(row.wait_event_type),
        short_text(row.wait_event),
        row.xact_age_s,
        row.state_age_s,
        row.query_age_s,
        "" if hidden or not row.query else _statement(row.query),
        hidden,
    )


@lru_cache(maxsize=10_000)
def _who(
    backend_start: float | None,
    kind: bytes | None,
    name: bytes | None,
    address: bytes | None,
    port: int | None,
) -> tuple[datetime | None, str, str, str]:
    """When a session began, its kind, name and client: what seldom changes from poll to poll."""
    return (
        None if backend_start is None else datetime.fromtimestamp(backend_start, UTC),
        decode(kind or b""),
        mask_name(decode(name or b"")),
        f"{decode(address)}:{port}" if address else "local" if port == -1 else "",
    )


def _statement(stored: bytes) -> str:
    return _short_statement(stored) if len(stored) <= _SHORT else mask_statement(decode(stored))


@lru_cache(maxsize=2_000)
def _short_statement(stored: bytes) -> str:
    """A statement without secrets; most polls see those of the poll before."""
    return mask_statement(decode(stored))


def _prepared(row: ProcessRow) -> PreparedTransaction:
    return PreparedTransaction(decode(row.gid), row.datid, row.usesysid, age_s=row.xact_age_s)
