"""Leases that tests hold: for schemas, databases and runs of their own, which no sweep then removes.

    from pgwatch_tests.testing import run, schema

    with schema("postgresql://localhost/app_test") as name:
        connection.execute(f"CREATE TABLE {name}.users (…)")

Each holds a lease (`pgwatch_tests.postgres.leases`) on a session of its own, straight to the server: it
refuses a pooler, which would give it away. A session that is lost is opened anew (`lease_session`). What is
left of whoever is killed, a sweep takes for an orphan.

A value carries the run that it was made in, if there is one, right after the milliseconds and the hash of
its test, if any: `user-<ms>-t<8 hex of the test>-r<8 hex of the run>-<random>@test.example.com`. Rows with
such values stay while the run lives. `pgwatch_tests.identity.value_tokens` has the grammar.

A connection string is anything that `--dsn` takes; an empty one leaves it to libpq's environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from psycopg import sql

from pgwatch_tests.errors import LeaseTakenError, PgwatchError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.dsn import in_database
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.leases import KEEPALIVES, run_lease
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.ended_leases import EndedLease, note_end
from pgwatch_tests.sweep.orphans.databases import drop_database
from pgwatch_tests.sweep.orphans.orphan_names import orphan_name
from pgwatch_tests.sweep.orphans.schema_drop import check_dependents, drop_schema
from pgwatch_tests.testing.identifiers import entered_run
from pgwatch_tests.testing.lease_session import LeaseSession, tell_given_up

APPLICATION_NAME = "pgwatch-tests lease"
"""The application name of sessions that hold leases, which count as sessions, unlike those that sweep."""

LEASE_LIMITS = SessionLimits(
    statement_timeout_s=60.0,
    lock_timeout_s=10.0,
    read_only=False,
    more=(("application_name", APPLICATION_NAME), *KEEPALIVES),
)
_CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class OwnDatabase:
    """A database of a test's own, and a connection string for it, which may hold a password."""

    name: str
    dsn: str = field(repr=False)


@contextmanager
def lease(dsn: str, name: str) -> Iterator[None]:
    """Holds the lease of `name` in the database that `dsn` names.

    Its end is put on record: a sweep on this machine doesn't wait until what it stood for is old enough (see
    `sweep.ended_leases`). Not where Ctrl-C ends it: workers may not have heard of it yet.

    Raises RefusedError if somebody holds it already or a pooler is in between, CannotConnectError and
    ConfigurationError.
    """
    with _held(dsn, name) as leases:
        owner = os.getpid()
        try:
            yield
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException:
            _note_end(leases, name, owner)
            raise
        _note_end(leases, name, owner)


@contextmanager
def schema(dsn: str) -> Iterator[str]:
    """A new, empty schema; gives its name, which needs no quotes, and drops it in the end.

    Raises RefusedError if it stays: something elsewhere depends on it, or somebody has locked a part of it
    for 10 s. If the body fails, that is what is raised, and what stays is left to a sweep. Raises
    CannotConnectError and ConfigurationError, too, and psycopg.Error if it can't be made.
    """
    name = orphan_name()
    with _held(dsn, name) as leases:
        leases.connection().execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        try:
            yield name
        except BaseException:
            with suppress(PgwatchError, psycopg.Error):
                _drop_schema(dsn, name, leases)
            raise
        _drop_schema(dsn, name, leases)


@contextmanager
def database(dsn: str) -> Iterator[OwnDatabase]:
    """A new, empty database on the server of `dsn`; dropped in the end, whoever is connected to it by then.

    Its lease is held in the database that `dsn` names. Raises what `schema` does.
    """
    name = orphan_name()
    with _held(dsn, name) as leases:
        leases.connection().execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield OwnDatabase(name, in_database(_dsn(dsn), name).value)
        except BaseException:
            with suppress(PgwatchError, psycopg.Error):
                _drop_database(dsn, name, leases)
            raise
        _drop_database(dsn, name, leases)


@contextmanager
def run(dsn: str, id_: str | None = None) -> Iterator[str]:
    """Makes this process work for a run, whose lease it holds in the database that `dsn` names.

    Rows that carry the run's id stay meanwhile. Gives the id, which `run_id()` returns until the end: `id_`,
    else that of `PGWATCH_RUN`, whose lease may be held by whoever has set the variable, else a new one. One
    process holds the lease; its workers are told the id. Raises what `lease` does.
    """
    with entered_run(id_) as entered, ExitStack() as held:
        try:
            held.enter_context(lease(dsn, run_lease(entered)))
        except LeaseTakenError:
            if id_ is not None:
                raise
        yield entered


@contextmanager
def _held(dsn: str, name: str) -> Iterator[LeaseSession]:
    def connected() -> OwnConnection:
        return connect(_dsn(dsn), LEASE_LIMITS, connect_timeout_s=_CONNECT_TIMEOUT_S)

    with closing(LeaseSession(connected)) as leases:
        leases.take(name)
        try:
            yield leases
        finally:
            # The server would notice the end of the session, but later.
            leases.free(name)


def _note_end(leases: LeaseSession, name: str, owner: int) -> None:
    # A process that was forked meanwhile leaves it to its parent; who took a lost lease goes on.
    if os.getpid() != owner or leases.is_taken(name):
        return
    # Where the session is lost, nothing tells the server's time, and its data has to reach its age.
    connection = leases.present_connection()
    if connection is None:
        return
    with suppress(psycopg.Error):
        row = connection.execute(queries.load("server/time")).fetchone()
        if row is not None:
            started, ended_at = row
            if isinstance(started, datetime) and isinstance(ended_at, datetime):
                note_end(EndedLease(name, started, ended_at))


def _drop_schema(dsn: str, name: str, leases: LeaseSession) -> None:
    if not leases.is_ours(name):
        tell_given_up(name)
        return
    with closing(DatabaseSession(_settings(dsn), read_only=False)) as session:
        session.open()
        check_dependents(session, name)
        drop_schema(session, name, stopped=lambda: False, beside=leases.connection())


def _drop_database(dsn: str, name: str, leases: LeaseSession) -> None:
    if not leases.is_ours(name):
        tell_given_up(name)
        return
    settings = _settings(dsn)
    with closing(DatabaseSession(settings, read_only=False)) as session:
        session.open()
        drop_database(session, settings, name)


def _settings(dsn: str) -> Settings:
    return Settings(
        _dsn(dsn), lock_timeout_s=LEASE_LIMITS.lock_timeout_s, connect_timeout_s=_CONNECT_TIMEOUT_S
    )


def _dsn(dsn: str) -> Dsn:
    return Dsn(dsn, "the DSN of the lease")
