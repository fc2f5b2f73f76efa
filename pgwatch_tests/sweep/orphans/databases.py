"""Drops databases that tests made and left behind: old enough, nobody's any more, and nobody connected."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace

import psycopg
from psycopg import errors
from psycopg.pq import Escaping

from pgwatch_tests.errors import CannotConnectError, RefusedError
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.leaks.leftovers import matches
from pgwatch_tests.postgres import leases
from pgwatch_tests.postgres.connections.dsn import in_database
from pgwatch_tests.postgres.server_messages import full_server_message
from pgwatch_tests.postgres.sessions.session import ScanSession
from pgwatch_tests.postgres.stored_text import quoted
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import KeptReason, Orphan, SweepRequest
from pgwatch_tests.sweep.orphans.orphan_names import NOT_LEASED, is_orphan_name, kept_for_age
from pgwatch_tests.sweep.orphans.outcome import Found, Stopped, and_others
from pgwatch_tests.sweep.orphans.prepared_transactions import Prepared, needs_owner, prepared_in, roll_back
from pgwatch_tests.text.durations import in_words


class DatabaseKeptError(RefusedError):
    """The database stays: `reason` says why in a word, the message in words."""

    def __init__(self, reason: KeptReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Database:
    """A row of queries/sweep/databases.sql."""

    name: str
    oid: int
    age_s: float | None
    owner: str
    asking: str
    is_ours: bool
    sessions: int
    example: str
    own_sessions: int


def sweep_databases(
    session: ScanSession, settings: Settings, request: SweepRequest, stopped: Stopped
) -> Found:
    """Drops orphan databases of the server, or says which it would.

    Looked at are those that `settings.leftover_databases` fit, or whose names say that they are orphans; the
    connected one isn't. An orphan is called `test_<ms>_<pid>_<random>`, is old enough by that stamp and the
    server's clock, nobody holds its lease in whatever database, and nobody but sessions of ours is connected
    to it. Prepared transactions in it that are old enough are rolled back first. Raises psycopg.Error if not
    even the list can be had, ConnectionLostError and ScanCancelledError.
    """
    databases = [
        one
        for one in _databases(session)
        if is_orphan_name(one.name) or matches(one.name, settings.leftover_databases)
    ]
    holders = leases.lease_holders(session, [database.name for database in databases])
    orphans = []
    for database in databases:
        orphan = Orphan("databases", database.name, removed=True, age_s=database.age_s)
        try:
            if stopped():
                raise DatabaseKeptError("interrupted", "the sweep was told to end")
            if database.name in holders:
                raise DatabaseKeptError("run_alive", f"pid {holders[database.name]} holds its lease")
            inside = _check(session, database, request)
            if not request.dry_run:
                _drop(session, settings, database, inside)
        except DatabaseKeptError as kept:
            orphan = replace(orphan, removed=False, reason=kept.reason, detail=str(kept))
        except psycopg.Error as error:
            orphan = replace(orphan, removed=False, reason="refused", detail=full_server_message(error))
        orphans.append(orphan)
    return Found(tuple(orphans))


def drop_database(session: ScanSession, settings: Settings, name: str) -> None:
    """Drops a database, whoever is connected to it, with its prepared transactions.

    Raises DatabaseKeptError if a prepared transaction is in the way, and what `session.running` does.
    """
    for database in _databases(session):
        if database.name == name:
            _roll_back(settings, name, prepared_in(session, database.oid))
            _execute_drop(session, name, force=True)


def _databases(session: ScanSession) -> list[_Database]:
    return session.ask("sweep/databases", _Database, {"own_name": OWN_NAME})


def _check(session: ScanSession, database: _Database, request: SweepRequest) -> list[Prepared]:
    """The prepared transactions in it, if it may go. Raises DatabaseKeptError if it may not."""
    if database.age_s is None or not is_orphan_name(database.name):
        raise DatabaseKeptError("unleased_name", NOT_LEASED)
    kept = kept_for_age(database.age_s, request.min_age_of(database.name))
    if kept is not None:
        raise DatabaseKeptError(*kept)
    _check_unused(database)
    if not database.is_ours:
        raise DatabaseKeptError(
            "refused",
            f"needs its owner {database.owner} (GRANT {database.owner} TO {database.asking}) or a superuser",
        )
    inside = prepared_in(session, database.oid)
    for one in inside:
        if one.age_s < request.min_age_s:
            age = in_words(max(0.0, one.age_s))
            raise DatabaseKeptError("too_young", f"a transaction prepared in it is {age} old")
        if not one.is_ours:
            raise DatabaseKeptError("refused", f"a transaction prepared in it {needs_owner(one)}")
    return inside


def _check_unused(database: _Database) -> None:
    if database.sessions:
        who = and_others(database.example, database.sessions - 1)
        raise DatabaseKeptError("in_use", f"connected to it: {who}")


def _drop(session: ScanSession, settings: Settings, database: _Database, inside: list[Prepared]) -> None:
    with leases.hold_lease(session, database.name) as is_ours:
        if not is_ours:
            raise DatabaseKeptError("run_alive", "somebody has just taken its lease")
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


def _execute_drop(session: ScanSession, name: str, *, force: bool) -> None:
    identifier = quoted(name, Escaping(session.connection.pgconn))
    session.execute(b"DROP DATABASE IF EXISTS %b%b" % (identifier, b" WITH (FORCE)" if force else b""))


def _roll_back(settings: Settings, name: str, inside: list[Prepared]) -> None:
    """Rolls back what is prepared in it, which is only possible from there."""
    if not inside:
        return
    there = ScanSession(replace(settings, dsn=in_database(settings.dsn, name)), read_only=False)
    try:
        with closing(there):
            there.open()
            # Another database may spell the names in another encoding.
            spelled = {(one.transaction, one.prepared): one for one in prepared_in(there)}
            for one in inside:
                now = spelled.get((one.transaction, one.prepared))
                kept = None if now is None else roll_back(there, now)
                if kept is not None and kept[0] != "changed":
                    raise DatabaseKeptError(kept[0], f"a transaction prepared in it stays: {kept[1]}")
    except CannotConnectError as error:
        detail = f"a transaction prepared in it can't be reached: {error}"
        raise DatabaseKeptError("refused", detail) from None
