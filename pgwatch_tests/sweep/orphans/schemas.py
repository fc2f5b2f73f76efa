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
from pgwatch_tests.sweep.model import Orphan
from pgwatch_tests.sweep.orphans.orphan_loop import (
    Candidate,
    OrphanKeptError,
    Stopped,
    SweptOrphans,
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
from pgwatch_tests.sweep.orphans.schema_fence import check_unchanged, fenced
from pgwatch_tests.sweep.request import SweepRequest


@dataclass(frozen=True, slots=True)
class _Schema:
    """A row of queries/sweep/schemas.sql."""

    name: str
    age_s: float | None
    kept_until: str
    owner: str
    asking: str
    is_ours: bool
    database: str
    may_create: bool


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
    confirmed = "" if request.part is None else request.part.confirmed

    def check(schema: _Schema) -> None:
        if confirmed:
            with session.running():
                check_unchanged(session.connection, schema.name, confirmed)
            check_not_leased(schema.name, holders)
        else:
            check_named(schema.name, schema.age_s, holders, request)
        _check(session, schema, is_renamed=bool(confirmed))

    def drop(schema: _Schema) -> None:
        with (
            _dependents_readable(),
            leased(session, schema.name),
            second_session(settings, read_only=not confirmed) as beside,
        ):
            if not confirmed:
                drop_schema(session, schema.name, stopped, beside)
                return
            with fenced(session, beside, schema.name, confirmed) as name:
                drop_schema(session, name, stopped, beside)

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
                _check(session, schema, is_renamed=True)
                return ""
    except OrphanKeptError as kept:
        return str(kept)
    return "it is gone"


def _check(session: DatabaseSession, schema: _Schema, *, is_renamed: bool) -> None:
    """Raises OrphanKeptError if it is kept for somebody, isn't ours, or is used.

    With `is_renamed`, also if our role can't rename it, as is done before a confirmed one is dropped.
    """
    check_kept(schema.kept_until)
    check_owner(schema.owner, schema.asking, is_ours=schema.is_ours)
    if is_renamed and not schema.may_create:
        grant = f"GRANT CREATE ON DATABASE {schema.database} TO {schema.asking}"
        raise OrphanKeptError("refused", f"needs CREATE in its database ({grant})")
    with _dependents_readable(), session.running():
        check_droppable(session.connection, schema.name)


@contextmanager
def _dependents_readable() -> Iterator[None]:
    """Raises OrphanKeptError where the server raises an error."""
    try:
        yield
    except psycopg.Error as error:
        detail = f"what depends on it can't be read: {full_server_message(error)}"
        raise OrphanKeptError("not_checked", detail) from error
