"""Drops schemas that tests made and left behind: old enough, nobody's any more, and used by nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import psycopg

from pgwatch_tests.leaks.leftovers import matches
from pgwatch_tests.postgres import leases
from pgwatch_tests.postgres.server_messages import full_server_message
from pgwatch_tests.postgres.sessions.session import ScanSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import KeptReason, Orphan, SweepRequest
from pgwatch_tests.sweep.orphans.orphan_names import NOT_LEASED, is_orphan_name, kept_for_age
from pgwatch_tests.sweep.orphans.outcome import Found, Stopped
from pgwatch_tests.sweep.orphans.schema_drop import (
    SchemaKeptError,
    check_droppable,
    drop_schema,
    second_session,
)


@dataclass(frozen=True, slots=True)
class _Schema:
    """A row of queries/sweep/schemas.sql."""

    name: str
    age_s: float | None
    owner: str
    asking: str
    is_ours: bool


def sweep_schemas(session: ScanSession, settings: Settings, request: SweepRequest, stopped: Stopped) -> Found:
    """Drops orphan schemas of the database, or says which it would.

    An orphan is called `test_<ms>_<pid>_<random>`, fits `settings.test_schemas`, is old enough by that stamp
    and the server's clock, and nobody holds its lease (`postgres.leases`). Raises psycopg.Error if not even
    the list can be had, ConnectionLostError and ScanCancelledError.
    """
    schemas = [
        schema
        for schema in session.ask("sweep/schemas", _Schema)
        if matches(schema.name, settings.test_schemas)
    ]
    holders = leases.lease_holders(session, [schema.name for schema in schemas])
    orphans = []
    for schema in schemas:
        orphan = Orphan("schemas", schema.name, removed=True, age_s=schema.age_s)
        try:
            if stopped():
                raise SchemaKeptError("interrupted", "the sweep was told to end")
            if schema.name in holders:
                raise SchemaKeptError("run_alive", f"pid {holders[schema.name]} holds its lease")
            _check(schema, request)
            check_droppable(session, schema.name)
            if not request.dry_run:
                _drop(session, settings, schema.name, stopped)
        except SchemaKeptError as kept:
            orphan = _kept(orphan, kept.reason, str(kept))
        except psycopg.Error as error:
            orphan = _kept(
                orphan,
                "not_checked",
                f"what depends on it can't be read: {full_server_message(error)}",
            )
        orphans.append(orphan)
    return Found(tuple(orphans))


def _check(schema: _Schema, request: SweepRequest) -> None:
    """Raises SchemaKeptError for what its row says already."""
    if schema.age_s is None or not is_orphan_name(schema.name):
        raise SchemaKeptError("unleased_name", NOT_LEASED)
    kept = kept_for_age(schema.age_s, request.min_age_of(schema.name))
    if kept is not None:
        raise SchemaKeptError(*kept)
    if not schema.is_ours:
        raise SchemaKeptError(
            "refused",
            f"needs its owner {schema.owner} (GRANT {schema.owner} TO {schema.asking}) or a superuser",
        )


def _drop(session: ScanSession, settings: Settings, name: str, stopped: Stopped) -> None:
    with leases.hold_lease(session, name) as is_ours:
        if not is_ours:
            raise SchemaKeptError("run_alive", "somebody has just taken its lease")
        with second_session(settings) as beside:
            drop_schema(session, name, stopped, beside)


def _kept(orphan: Orphan, reason: KeptReason, detail: str) -> Orphan:
    return replace(orphan, removed=False, reason=reason, detail=detail)
