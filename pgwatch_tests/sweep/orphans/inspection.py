"""Looks at one schema or prepared transaction, for the question whether it goes."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass, replace

import psycopg

from pgwatch_tests.errors import NotCheckedError, PgwatchError
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.postgres.guard import DatabaseFacts, refusal
from pgwatch_tests.postgres.server_messages import full_server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.orphans.orphan_facts import OrphanFacts, SeenSession
from pgwatch_tests.sweep.orphans.prepared_transactions import locks_of, needs_owner, prepared_in
from pgwatch_tests.sweep.orphans.schema_fence import schema_facts
from pgwatch_tests.sweep.orphans.schemas import why_schema_stays
from pgwatch_tests.sweep.request import SweepPart

_MOST_MEASURED = 200
"""Tables whose size is asked for: each is locked for a moment."""


@dataclass(frozen=True, slots=True)
class _Client:
    """A row of queries/sweep/schema_sessions.sql."""

    pid: int
    application_name: str
    names_it: bool | None


def inspect(settings: Settings, part: SweepPart) -> OrphanFacts | None:
    """Looks at one schema or prepared transaction of the database; None if it is gone.

    Changes nothing. Raises CannotConnectError, ConnectionLostError, and NotCheckedError if it can't be read.
    """
    with closing(DatabaseSession(settings, read_only=True)) as session:
        session.open()
        session.limit(settings.count_timeout_s, settings.lock_timeout_s)
        try:
            found = _prepared(session, part) if part.kind == "prepared" else _schema(session, part)
            if found is None:
                return None
            guard = refusal(
                session.ask("server/test_database", DatabaseFacts)[0], patterns=settings.test_databases
            )
        except psycopg.Error as error:
            raise NotCheckedError(f"{part.name} can't be looked at: {full_server_message(error)}") from error
    return replace(found, why_not=guard or found.why_not)


def why_never_swept(settings: Settings, database: str) -> str:
    """Why no sweep may change the connected database, as a sentence; empty if one may.

    Connects only if its name, which is `database`, isn't that of a test database. Empty, too, if it can't be
    read now: a sweep asks again.
    """
    if refusal(DatabaseFacts(database, None, False, False), patterns=settings.test_databases) is None:
        return ""
    with suppress(psycopg.Error, PgwatchError), closing(DatabaseSession(settings, read_only=True)) as session:
        session.open()
        session.limit(settings.count_timeout_s, settings.lock_timeout_s)
        [facts] = session.ask("server/test_database", DatabaseFacts)
        why = refusal(facts, patterns=settings.test_databases) or ""
        return f"{why[:1].upper()}{why[1:]}." if why else ""
    return ""


def _schema(session: DatabaseSession, part: SweepPart) -> OrphanFacts | None:
    with session.running():
        facts = schema_facts(session.connection, part.name)
    if facts is None:
        return None
    clients = session.ask("sweep/schema_sessions", _Client, {"schema": part.name, "own_name": OWN_NAME})
    return OrphanFacts(
        replace(part, confirmed=facts.identity),
        facts.database,
        facts.owner,
        why_schema_stays(session, part.name),
        facts.changed_s,
        facts.tables,
        facts.others,
        facts.rows,
        _size(session, part.name) if facts.tables <= _MOST_MEASURED else None,
        sessions=len(clients),
        hidden=sum(one.names_it is None for one in clients),
        users=tuple(SeenSession(one.pid, one.application_name) for one in clients if one.names_it),
    )


def _size(session: DatabaseSession, schema: str) -> int | None:
    with suppress(psycopg.Error):
        [size] = session.ask_values("sweep/schema_size", int, {"schema": schema})
        return size
    return None


def _prepared(session: DatabaseSession, part: SweepPart) -> OrphanFacts | None:
    one = next((one for one in prepared_in(session) if one.gid == part.name), None)
    if one is None:
        return None
    locks = locks_of(session, one)
    return OrphanFacts(
        replace(part, confirmed=one.told_by),
        session.identity().database,
        one.owner,
        "" if one.is_ours else needs_owner(one),
        max(0.0, one.age_s),
        locks=tuple(lock.relation for lock in locks if lock.pid is None),
        waiters=tuple(SeenSession(lock.pid, lock.application_name) for lock in locks if lock.pid is not None),
    )
