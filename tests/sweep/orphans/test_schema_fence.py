"""Nothing of a running test goes with a schema that somebody confirmed, whenever the test comes to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import pytest
from psycopg import Connection, errors, sql
from psycopg import connect as connect_to
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.errors import ConnectionLostError, WorkCancelledError
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.model import Orphan
from pgwatch_tests.sweep.orphans import schema_fence
from pgwatch_tests.sweep.orphans.inspection import inspect
from pgwatch_tests.sweep.orphans.orphan_loop import SweptOrphans
from pgwatch_tests.sweep.orphans.orphan_names import is_orphan_name
from pgwatch_tests.sweep.orphans.orphans import sweep_orphans
from pgwatch_tests.sweep.request import SweepPart, SweepRequest
from tests.servers.server_places import server_directory
from tests.servers.sessions import Connect, Database, MakeRole
from tests.sweep.orphans.sweeping import (
    contents,
    exists,
    make_schema,
    make_tables,
    sweep_session,
    swept,
    tables,
)
from tests.waiting import wait_until

PATIENCE_S = 20.0
SCHEMA = "test_gw0_abc123"
_LOCAL = "-c synchronous_commit=local"


def confirmed(dsn: str) -> SweepPart:
    """What a yes to the question about it asks for."""
    found = inspect(Settings(Dsn(dsn, "the test")), SweepPart("schemas", SCHEMA))
    assert found is not None
    assert found.why_not == ""
    return found.part


def dropped(dsn: str, part: SweepPart, stopped: Callable[[], bool] = lambda: False) -> Orphan:
    """What becomes of it after that yes."""
    request = SweepRequest(("schemas",), dry_run=False, part=part)
    with sweep_session(dsn, lock_timeout_s=PATIENCE_S) as (session, settings):
        [orphan] = sweep_orphans(session, settings, request, stopped).orphans
        return orphan


def make(owner: Connection[TupleRow], number: int = 3) -> None:
    make_schema(owner, SCHEMA)
    make_tables(owner, SCHEMA, number, "(i int)")


@contextmanager
def drop_held_up(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> Iterator[Future[Orphan]]:
    """A drop after all that is looked at before it, in the moment before the fence is up."""
    part = confirmed(database.dsn)
    holder = connect()
    holder.execute(f"ALTER SCHEMA {SCHEMA} RENAME TO another".encode())
    with ThreadPoolExecutor(1) as pool:
        drop = pool.submit(dropped, database.dsn, part)
        query = (
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'ALTER SCHEMA%%'"
            " AND application_name = 'pgwatch-tests' AND wait_event_type = 'Lock'"
        )
        wait_until(lambda: owner.execute(query).fetchone() is not None, PATIENCE_S)
        yield drop
        holder.rollback()
        drop.result()


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE {0}.mine (i int)",
        "CREATE FUNCTION {0}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE {0}.mine AS ENUM ('a')",
        "ALTER TABLE {0}.t0 ADD j int",
    ],
)
def test_what_a_test_makes_just_before_keeps_all_of_it(
    made: LiteralString, owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make(owner)
    with drop_held_up(owner, database, connect) as drop:
        owner.execute(sql.SQL(made).format(sql.Identifier(SCHEMA)))
        before = contents(owner)

    kept = drop.result()
    assert (kept.removed, kept.reason, kept.name) == (False, "changed", SCHEMA)
    assert contents(owner) == before
    assert exists(owner, SCHEMA)


def test_what_a_test_is_about_to_make_keeps_all_of_it(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make(owner)
    test = connect("pytest:gw0 tests/a.py::test_b")
    with drop_held_up(owner, database, connect) as drop:
        test.execute(f"CREATE TABLE {SCHEMA}.mine (i int)".encode())

    kept = drop.result()
    assert (kept.removed, kept.reason) == (False, "locked")
    assert kept.detail.startswith(f"the schema is locked by pid {test.info.backend_pid}")
    test.execute(f"TABLE {SCHEMA}.t0".encode())
    test.commit()
    assert tables(owner, SCHEMA) == 4


def test_what_comes_in_between_has_the_old_name_again(
    owner: Connection[TupleRow], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has found the schema by its name before the COMMIT of the new one, and made a table after it."""
    make(owner)
    seen: list[str] = []
    check = schema_fence.check_unchanged

    def check_later(connection: OwnConnection, name: str, identity: str) -> None:
        seen.append(name)
        if len(seen) == 2:
            assert not exists(owner, SCHEMA)
            owner.execute(f"CREATE TABLE {name}.mine (i int)".encode())
        check(connection, name, identity)

    monkeypatch.setattr(schema_fence, "check_unchanged", check_later)
    kept = dropped(database.dsn, confirmed(database.dsn))

    assert (kept.removed, kept.reason) == (False, "changed")
    assert len(seen) == 2
    assert tables(owner, SCHEMA) == 4


def test_behind_the_fence_nobody_finds_it(owner: Connection[TupleRow], database: Database) -> None:
    make(owner)
    refused = []

    def stopped() -> bool:
        if not exists(owner, SCHEMA):  # from then on
            for statement in (f"CREATE TABLE {SCHEMA}.late (i int)", f"TABLE {SCHEMA}.t0"):
                with pytest.raises((errors.InvalidSchemaName, errors.UndefinedTable)) as caught:
                    owner.execute(statement.encode())
                refused.append(caught.value)
        return False

    assert dropped(database.dsn, confirmed(database.dsn), stopped).removed
    assert len(refused) >= 4
    assert owner.execute("SELECT FROM pg_class WHERE relname ~ '^(t0|late)$'").fetchone() is None


def test_a_drop_that_ends_before_its_first_part_leaves_all_as_it_was(
    owner: Connection[TupleRow], database: Database
) -> None:
    make(owner)
    before = contents(owner)
    kept = dropped(database.dsn, confirmed(database.dsn), lambda: not exists(owner, SCHEMA))
    assert (kept.removed, kept.reason, kept.detail) == (False, "interrupted", "the sweep was stopped")
    assert exists(owner, SCHEMA)
    assert contents(owner) == before


def test_a_drop_that_is_cancelled_before_its_first_part_leaves_all_as_it_was(
    owner: Connection[TupleRow], database: Database
) -> None:
    make(owner)
    before, request = contents(owner), SweepRequest(("schemas",), dry_run=False, part=confirmed(database.dsn))
    with sweep_session(database.dsn) as (session, settings):

        def stopped() -> bool:
            if not exists(owner, SCHEMA):
                session.cancel()
            return False

        with pytest.raises(WorkCancelledError):
            sweep_orphans(session, settings, request, stopped)
    assert exists(owner, SCHEMA)
    assert contents(owner) == before


def test_what_is_left_of_it_is_an_orphan_with_which_the_next_sweep_continues(
    owner: Connection[TupleRow], database: Database
) -> None:
    make(owner, 120)
    kept = dropped(
        database.dsn,
        confirmed(database.dsn),
        lambda: owner.execute("SELECT FROM pg_class WHERE relname = 't119'").fetchone() is None,
    )
    assert kept.reason == "interrupted"
    assert not exists(owner, SCHEMA)
    stopped, _, called = kept.detail.partition("; it is called ")
    assert stopped == "the sweep was stopped (50 parts are dropped; the next sweep continues)"
    name = called.removesuffix(" now")
    assert is_orphan_name(name)
    assert tables(owner, name) == 70
    [orphan] = swept(database.dsn, "schemas", min_age_s=0.0).orphans
    assert (orphan.name, orphan.removed) == (name, True)
    assert not exists(owner, name)


def test_one_whose_name_somebody_has_taken_meanwhile_says_its_own(
    owner: Connection[TupleRow], database: Database
) -> None:
    make(owner)

    def stopped() -> bool:
        if exists(owner, SCHEMA):
            return False
        make_schema(owner, SCHEMA)
        return True

    kept = dropped(database.dsn, confirmed(database.dsn), stopped)

    assert kept.reason == "interrupted"
    name = kept.detail.partition("; it is called ")[2].partition(" now (")[0]
    assert kept.detail.endswith(f'schema "{SCHEMA}" already exists)')
    assert tables(owner, name) == 3
    assert tables(owner, SCHEMA) == 0


def test_who_may_not_rename_it_is_told_the_grant(
    owner: Connection[TupleRow], database: Database, make_role: MakeRole
) -> None:
    role = make_role()
    make(owner)
    owner.execute(f"ALTER SCHEMA {SCHEMA} OWNER TO {role}".encode())
    dsn = database.dsn.replace("postgres@", f"{role}@")
    part = confirmed(database.dsn)

    found = inspect(Settings(Dsn(dsn, "the test")), SweepPart("schemas", SCHEMA))
    assert found is not None
    words = f"needs CREATE in its database (GRANT CREATE ON DATABASE {database.name} TO {role})"
    assert found.why_not == words
    kept = dropped(dsn, part)
    assert (kept.reason, kept.detail) == ("refused", words)
    owner.execute(f"GRANT CREATE ON DATABASE {database.name} TO {role}".encode())
    assert dropped(dsn, part).removed


@pytest.mark.parametrize("lost", ["its session", "both sessions"])
@pytest.mark.parametrize("number", [3, 120])
def test_after_a_lost_connection_it_says_what_the_rest_is_called(
    number: int, lost: str, owner: Connection[TupleRow], database: Database
) -> None:
    make(owner, number)
    request = SweepRequest(("schemas",), dry_run=False, part=confirmed(database.dsn))
    with sweep_session(database.dsn, lock_timeout_s=PATIENCE_S) as (session, settings):

        def stopped() -> bool:
            name = f"t{number - 1}"
            is_begun = (
                number < 100
                or owner.execute("SELECT FROM pg_class WHERE relname = %s", [name]).fetchone() is None
            )
            if not exists(owner, SCHEMA) and is_begun:
                end = (
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    " AND application_name = 'pgwatch-tests' AND (%s OR pid = %s)"
                )
                whose = [lost == "both sessions", session.connection.info.backend_pid]
                wait_until(lambda: owner.execute(end, whose).fetchone() is None)
            return False

        swept = sweep_orphans(session, settings, request, stopped)
    [orphan] = swept.orphans
    assert isinstance(swept.error, ConnectionLostError)
    if exists(owner, SCHEMA):
        assert " is called " not in orphan.detail
    else:
        [name] = [
            row[0] for row in owner.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^test_1'")
        ]
        assert f"what is left of {SCHEMA} is called {name} now" in orphan.detail
        assert name in str(swept.error)


def test_a_new_name_whose_commit_was_not_answered_is_taken_back(
    programs: ServerPrograms, template: Path
) -> None:
    # It waits for a standby that isn't there: committed already, and not answered.
    settings = {"synchronous_commit": "on", "synchronous_standby_names": "nobody"}
    with (
        EmbeddedServer(programs, server_directory(), settings, template) as server,
        connect_to(server.dsn(), autocommit=True, options=_LOCAL) as administrator,
    ):
        administrator.execute("CREATE DATABASE test")
        dsn = server.dsn("test")
        with connect_to(dsn, autocommit=True, options=_LOCAL) as owner, ThreadPoolExecutor(1) as pool:
            make(owner)
            drop = pool.submit(sweep_confirmed, dsn, confirmed(dsn))
            waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            wait_until(lambda: owner.execute(f"SELECT pg_terminate_backend(pid) {waiting}").fetchone())
            wait_until(lambda: exists(owner, SCHEMA) is False, message="it has its new name")
            # The server answers a COMMIT whose wait is cancelled.
            wait_until(lambda: owner.execute(f"SELECT pg_cancel_backend(pid) {waiting}").fetchone())
            swept = drop.result()
            assert isinstance(swept.error, ConnectionLostError)
            assert [one.name for one in swept.orphans if " is called " in one.detail] == []
            assert exists(owner, SCHEMA)
            assert tables(owner, SCHEMA) == 3


def sweep_confirmed(dsn: str, part: SweepPart) -> SweptOrphans:
    """What a sweep of that part alone says."""
    request = SweepRequest(("schemas",), dry_run=False, part=part)
    with sweep_session(dsn, lock_timeout_s=PATIENCE_S) as (session, settings):
        return sweep_orphans(session, settings, request, lambda: False)
