"""Looks for orphans, and removes them, in a test's own database."""

from __future__ import annotations

import itertools
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.model import KeptReason, Orphan
from pgwatch_tests.sweep.orphans.orphan_loop import SweptOrphans
from pgwatch_tests.sweep.orphans.orphans import sweep_orphans
from pgwatch_tests.sweep.request import SweepRequest

HOSTILE = 'a "b" %s %(x)s \'; --\n\x1b[31m \u202e ü界'


def aged_name(age_s: float = 3600.0) -> str:
    """`test_<ms>_<pid>_<random>`, made so long ago."""
    return f"test_{time.time_ns() // 1_000_000 - round(age_s * 1000)}_{os.getpid()}_{secrets.token_hex(4)}"


@contextmanager
def sweep_session(
    dsn: str, *, read_only: bool = False, lock_timeout_s: float = 0.2
) -> Iterator[tuple[DatabaseSession, Settings]]:
    """A session for a sweep, and its settings."""
    settings = Settings(Dsn(dsn, "the test"), count_timeout_s=30.0, lock_timeout_s=lock_timeout_s)
    with closing(DatabaseSession(settings, read_only=read_only)) as session:
        session.open()
        yield session, settings


def swept(
    dsn: str,
    *kinds: SweepKind,
    dry_run: bool = False,
    min_age_s: float = 600.0,
    stopped: Callable[[], bool] = lambda: False,
    lock_timeout_s: float = 0.2,
) -> SweptOrphans:
    """What a sweep for those kinds of orphans finds and does."""
    request = SweepRequest(kinds, dry_run=dry_run, min_age_s=min_age_s)
    with sweep_session(dsn, read_only=dry_run, lock_timeout_s=lock_timeout_s) as (session, settings):
        return sweep_orphans(session, settings, request, stopped)


def named(found: SweptOrphans, name: str) -> Orphan:
    """The one orphan of that name."""
    (orphan,) = (one for one in found.orphans if one.name == name)
    return orphan


def make_schema(connection: Connection[TupleRow], name: str | None = None) -> str:
    """An empty schema, an hour old by its name."""
    name = name or aged_name()
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    return name


def make_tables(connection: Connection[TupleRow], schema: str, number: int, definition: str) -> None:
    """So many tables t0, t1 …; `definition` may say %1$I for the schema, %2$s for the number."""
    for first in range(0, number, 200):
        connection.execute(
            sql.SQL(
                "DO $do$ BEGIN FOR i IN {}..{} LOOP"
                " EXECUTE format('CREATE TABLE %1$I.t%2$s ' || {}, {}::text, i); END LOOP; END $do$"
            ).format(first, min(first + 200, number) - 1, sql.Literal(definition), sql.Literal(schema))
        )


def exists(connection: Connection[TupleRow], schema: str) -> bool:
    """Whether there is such a schema."""
    row = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchone()
    return row is not None


def tables(connection: Connection[TupleRow], schema: str) -> int:
    """How many tables are in a schema."""
    query = (
        "SELECT count(*) FROM pg_class WHERE relnamespace = %s::text::regnamespace AND relkind IN ('r', 'p')"
    )
    row = connection.execute(query, [schema]).fetchone()
    assert row is not None
    return int(row[0])


def verdict(found: SweptOrphans, name: str) -> tuple[bool, KeptReason | None, str]:
    """What a sweep says of one schema, but for its age."""
    orphan = named(found, name)
    return orphan.removed, orphan.reason, orphan.detail


def contents(owner: Connection[TupleRow]) -> list[TupleRow]:
    """What there is in the database, and what depends on what."""
    query = "SELECT classid, objid, refclassid, refobjid FROM pg_depend ORDER BY 1, 2, 3, 4"
    return owner.execute(query).fetchall()


def at_third_question(meanwhile: Callable[[], None]) -> Callable[[], bool]:
    """Never stops a sweep, but lets something happen after the first portion of the first schema."""
    questions = itertools.count(1)

    def stopped() -> bool:
        # Before the schema, before its first portion, before its second.
        if next(questions) == 3:
            meanwhile()
        return False

    return stopped
