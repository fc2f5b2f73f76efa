"""Orphans of several kinds at once, and what keeps a kind from being looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.leaks import leftovers
from pgwatch_tests.sweep.orphans.orphan_loop import SweptOrphans
from pgwatch_tests.sweep.orphans.orphans import sweep_orphans
from pgwatch_tests.sweep.request import SweepRequest
from tests.servers.sessions import Connect, Database, unique_name
from tests.sweep.orphans.sweeping import exists, make_schema, make_tables, named, sweep_session, swept


def test_what_holds_locks_goes_before_what_it_has_locked(
    owner: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "IDLE_IN_TRANSACTION_AFTER_S", 0.0)
    name = make_schema(owner)
    make_tables(owner, name, 2, "(i int)")
    idle, prepared = connect(), connect()
    idle.execute(sql.SQL("SELECT * FROM {}.t0").format(sql.Identifier(name)))
    prepared.execute(sql.SQL("SELECT * FROM {}.t1").format(sql.Identifier(name)))
    prepared.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(unique_name())))

    found = swept(database.dsn, "schemas", "sessions", "prepared", min_age_s=0)

    assert [(one.kind, one.removed) for one in found.orphans] == [
        ("sessions", True),
        ("prepared", True),
        ("schemas", True),
    ]
    assert not exists(owner, name)


def test_a_run_or_a_test_has_none(owner: Connection[TupleRow], database: Database) -> None:
    name = make_schema(owner)
    request = SweepRequest(("schemas", "databases", "prepared", "sessions"), dry_run=False, min_age_s=0)

    with sweep_session(database.dsn) as (session, settings):
        for only in (replace(request, run="5e6f7a8b"), replace(request, test="tests/test_a.py::test_b")):
            assert sweep_orphans(session, settings, only, lambda: False) == SweptOrphans()

    assert exists(owner, name)


def test_a_kind_that_cant_be_listed_isnt_taken_for_none(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    name = make_schema(owner)
    other = connect()
    with sweep_session(database.dsn) as (session, settings):
        other.execute("LOCK TABLE pg_catalog.pg_namespace IN ACCESS EXCLUSIVE MODE")
        request = SweepRequest(("schemas",), dry_run=False)

        found = sweep_orphans(session, settings, request, lambda: False)

        assert found.orphans == ()
        (sentence,) = found.not_checked
        assert sentence == "schemas not checked: canceling statement due to lock timeout"
        other.rollback()
        assert named(sweep_orphans(session, settings, request, lambda: False), name).removed
