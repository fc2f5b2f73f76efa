"""Orphan databases: drops those of tests that are old enough, not leased, and have no connections."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from psycopg import errors
from psycopg.pq import Escaping

from pgwatch_tests.errors import CannotConnectError
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.leaks.leftovers import matches
from pgwatch_tests.postgres import leases
from pgwatch_tests.postgres.connections.dsn import in_database
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.postgres.stored_text import quoted
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import Orphan
from pgwatch_tests.sweep.orphans.orphan_loop import (
    Candidate,
    OrphanKeptError,
    Stopped,
    SweptOrphans,
    and_others,
    check_kept,
    check_named,
    check_owner,
    leased,
    sweep_each,
)
from pgwatch_tests.sweep.orphans.orphan_names import is_orphan_name
from pgwatch_tests.sweep.orphans.prepared_transactions import (
    PreparedOrphan,
    needs_owner,
    prepared_in,
    roll_back,
)
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.text.durations import in_words


@dataclass(frozen=True, slots=True)
class _Database:
    """A row of queries/sweep/databases.sql."""

    name: str
    oid: int
    age_s: float | None
    kept_until: str
    owner: str
    asking: str
    is_ours: bool
    sessions: int
    example: str
    own_sessions: int


def sweep_databases(
    session: DatabaseSession, settings: Settings, request: SweepRequest, stopped: Stopped
) -> SweptOrphans:
    """Drops orphan databases of the server; a dry run only reports them.

    Looked at are those that `settings.leftover_databases` fit, or whose names say that they are orphans; the
    connected one isn't. An orphan is called `test_<ms>_<pid>_<random>`, is old enough by that stamp and the
    server's clock, nobody holds its lease in whatever database, and nobody but sessions of ours is connected
    to it. Prepared transactions in it that are old enough are rolled back first. Raises psycopg.Error if not
    even the list can be had, ConnectionLostError and WorkCancelledError.
    """
    databases = [
        one
        for one in _databases(session)
        if is_orphan_name(one.name) or matches(one.name, settings.leftover_databases)
    ]
    holders = leases.lease_holders(session, [database.name for database in databases])
    inside: dict[int, list[PreparedOrphan]] = {}

    def check(database: _Database) -> None:
        check_kept(database.kept_until)
        check_named(database.name, database.age_s, holders, request)
        inside[database.oid] = _check(session, database, request)

    def drop(database: _Database) -> None:
        _drop(session, settings, database, inside[database.oid])

    candidates = (
        Candidate(
            Orphan("databases", database.name, removed=True, age_s=database.age_s),
            partial(check, database),
            partial(drop, database),
        )
        for database in databases
    )
    return sweep_each(candidates, request, stopped)


def drop_database(session: DatabaseSession, settings: Settings, name: str) -> None:
    """Drops a database, whoever is connected to it, with its prepared transactions.

    Raises OrphanKeptError if a prepared transaction is in the way, and what `session.running` does.
    """
    for database in _databases(session):
        if database.name == name:
            _roll_back(settings, name, prepared_in(session, database.oid))
            _execute_drop(session, name, force=True)


def _databases(session: DatabaseSession) -> list[_Database]:
    return session.ask("sweep/databases", _Database, {"own_name": OWN_NAME})


def _check(session: DatabaseSession, database: _Database, request: SweepRequest) -> list[PreparedOrphan]:
    """Returns the prepared transactions in the database. Raises OrphanKeptError if it may not be dropped."""
    _check_unused(database)
    check_owner(database.owner, database.asking, is_ours=database.is_ours)
    inside = prepared_in(session, database.oid)
    for one in inside:
        if one.age_s < request.min_age_s:
            age = in_words(max(0.0, one.age_s))
            raise OrphanKeptError("too_young", f"a transaction prepared in it is {age} old")
        if not one.is_ours:
            raise OrphanKeptError("refused", f"a transaction prepared in it {needs_owner(one)}")
    return inside


def _check_unused(database: _Database) -> None:
    if database.sessions:
        who = and_others(database.example, database.sessions - 1)
        raise OrphanKeptError("in_use", f"connected to it: {who}")


def _drop(
    session: DatabaseSession, settings: Settings, database: _Database, inside: list[PreparedOrphan]
) -> None:
    with leased(session, database.name):
        _roll_back(settings, database.name, inside)
        # Whoever has connected by now isn't thrown out, unless it is one of us.
        for now in _databases(session):
            if now.oid == database.oid:
                _check_unused(now)
                database = now
        try:
            _execute_drop(session, database.name, force=database.own_sessions > 0)
        except errors.ObjectInUse:
            for now in _databases(session):
                if now.oid == database.oid:
                    _check_unused(now)
            raise


def _execute_drop(session: DatabaseSession, name: str, *, force: bool) -> None:
    identifier = quoted(name, Escaping(session.connection.pgconn))
    session.execute(b"DROP DATABASE IF EXISTS %b%b" % (identifier, b" WITH (FORCE)" if force else b""))


def _roll_back(settings: Settings, name: str, inside: list[PreparedOrphan]) -> None:
    """Rolls back the transactions prepared in it, from a connection to it: no other can."""
    if not inside:
        return
    there = DatabaseSession(replace(settings, dsn=in_database(settings.dsn, name)), read_only=False)
    try:
        with closing(there):
            there.open()
            # Another database may spell the names in another encoding.
            spelled = {(one.transaction, one.prepared): one for one in prepared_in(there)}
            for one in inside:
                now = spelled.get((one.transaction, one.prepared))
                if now is not None:
                    _roll_back_one(there, now)
    except CannotConnectError as error:
        detail = f"a transaction prepared in it can't be reached: {error}"
        raise OrphanKeptError("refused", detail) from None


def _roll_back_one(there: DatabaseSession, one: PreparedOrphan) -> None:
    try:
        roll_back(there, one)
    except OrphanKeptError as kept:
        if kept.reason != "changed":
            detail = f"a transaction prepared in it stays: {kept}"
            raise OrphanKeptError(kept.reason, detail) from None
