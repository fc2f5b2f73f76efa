"""Orphan schemas: drops those of tests that are old enough, not leased, and used by nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import psycopg

from pgwatch_tests.leaks.leftovers import matches
from pgwatch_tests.postgres import leases
from pgwatch_tests.postgres.server_messages import full_server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import Orphan, SweepRequest
from pgwatch_tests.sweep.orphans.orphan_loop import (
    Candidate,
    OrphanKeptError,
    Stopped,
    SweptOrphans,
    check_confirmed,
    check_kept,
    check_named,
    check_not_leased,
    check_owner,
    leased,
    sweep_each,
)
from pgwatch_tests.sweep.orphans.schema_drop import (
    check_droppable,
    drop_schema,
    second_session,
)


@dataclass(frozen=True, slots=True)
class _Schema:
    """A row of queries/sweep/schemas.sql."""

    name: str
    age_s: float | None
    kept_until: str
    owner: str
    asking: str
    is_ours: bool


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """The row of queries/sweep/schema_facts.sql."""

    identity: str
    database: str
    owner: str
    tables: int
    others: int
    rows: int
    changed_s: float | None


def schema_facts(session: DatabaseSession, name: str) -> SchemaFacts | None:
    """What is in a schema; None if it is gone. Raises what `session.running` does."""
    return next(iter(session.ask("sweep/schema_facts", SchemaFacts, {"schema": name})), None)


def sweep_schemas(
    session: DatabaseSession, settings: Settings, request: SweepRequest, stopped: Stopped
) -> SweptOrphans:
    """Drops orphan schemas of the database; a dry run only reports them.

    An orphan is called `test_<ms>_<pid>_<random>`, fits `settings.test_schemas`, is old enough by that stamp
    and the server's clock, and nobody holds its lease (`postgres.leases`). One that somebody has confirmed
    may have any name that fits, and any age. Raises psycopg.Error if not even the list can be had,
    ConnectionLostError and WorkCancelledError.
    """
    schemas = [
        schema
        for schema in session.ask("sweep/schemas", _Schema)
        if matches(schema.name, settings.test_schemas)
    ]
    holders = leases.lease_holders(session, [schema.name for schema in schemas])

    def check(schema: _Schema) -> None:
        if request.part is not None and request.part.confirmed:
            now = schema_facts(session, schema.name)
            check_confirmed("" if now is None else now.identity, request.part.confirmed)
            check_not_leased(schema.name, holders)
        else:
            check_named(schema.name, schema.age_s, holders, request)
        _check(session, schema)

    def drop(schema: _Schema) -> None:
        with _dependents_readable(), leased(session, schema.name), second_session(settings) as beside:
            drop_schema(session, schema.name, stopped, beside)

    candidates = (
        Candidate(
            Orphan("schemas", schema.name, removed=True, age_s=schema.age_s),
            partial(check, schema),
            partial(drop, schema),
        )
        for schema in schemas
    )
    return sweep_each(candidates, request, stopped)


def why_schema_stays(session: DatabaseSession, name: str) -> str:
    """Why the schema couldn't be dropped now, whatever its name and age; empty if it could.

    Raises what `session.running` does.
    """
    try:
        for schema in session.ask("sweep/schemas", _Schema):
            if schema.name == name:
                check_not_leased(name, leases.lease_holders(session, [name]))
                _check(session, schema)
                return ""
    except OrphanKeptError as kept:
        return str(kept)
    return "it is gone"


def _check(session: DatabaseSession, schema: _Schema) -> None:
    """Raises OrphanKeptError if it is kept for somebody, isn't ours, or is used."""
    check_kept(schema.kept_until)
    check_owner(schema.owner, schema.asking, is_ours=schema.is_ours)
    with _dependents_readable():
        check_droppable(session, schema.name)


@contextmanager
def _dependents_readable() -> Iterator[None]:
    """Raises OrphanKeptError where the server raises an error."""
    try:
        yield
    except psycopg.Error as error:
        detail = f"what depends on it can't be read: {full_server_message(error)}"
        raise OrphanKeptError("not_checked", detail) from error
