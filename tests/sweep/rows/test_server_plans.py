"""Server plans of what a sweep reads: by place and index, however many rows it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey
from pgwatch_tests.sweep.plan.related_rows import Related
from pgwatch_tests.sweep.rows.database_rows import DatabaseRows
from pgwatch_tests.sweep.rows.statements import SweepStatements
from tests.servers.sessions import Database
from tests.sweep.rows.bookings import BOOKINGS, ITEMS, REQUEST, add_users, make_tables, swept
from tests.waiting import wait_until


@dataclass(frozen=True)
class _Prepared:
    statement: str


def _counted(owner: Connection[TupleRow]) -> tuple[int, int, int]:
    """Of `items`: rows written, scans, and look-ups in its indexes, that sessions have reported."""
    row = owner.execute(
        "SELECT n_tup_ins, seq_scan, coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'items'"
    ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def test_what_refers_to_many_rows_is_looked_up(owner: Connection[TupleRow], database: Database) -> None:
    users = 6000
    with psycopg.connect(database.dsn, autocommit=True) as maker:
        make_tables(maker)
        add_users(maker, 1, users)
        add_users(maker, users + 1, 4 * users, marked=False)
        maker.execute("VACUUM ANALYZE")
    # What a session has done, it reports at its end.
    wait_until(lambda: _counted(owner)[0] == 4 * users * ITEMS)
    _, scans, looked_up = _counted(owner)

    report = swept(database.dsn, replace(REQUEST, dry_run=True))

    assert report.planned_rows == users * (1 + BOOKINGS + ITEMS)
    # One for each booking: `items` has no text, so it is read for no other reason.
    wait_until(lambda: _counted(owner)[2] - looked_up >= users * BOOKINGS)
    assert _counted(owner)[1] == scans


def test_what_is_read_of_partitions_is_planned_for_so_many_rows_each_time(
    owner: Connection[TupleRow], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tables(owner)
    owner.execute("CREATE TABLE notes (id int, user_id bigint REFERENCES users) PARTITION BY LIST (id)")
    owner.execute("CREATE TABLE notes_1 PARTITION OF notes DEFAULT")
    add_users(owner, 1, 3)
    owner.execute("INSERT INTO notes SELECT id, id FROM users")
    prepared: dict[str, list[str]] = {}
    children = DatabaseRows.children

    class Reading(DatabaseRows):
        def __init__(self, session: DatabaseSession, statements: SweepStatements) -> None:
            super().__init__(session, statements)
            self._asking = session

        def children(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
            # As often as a sweep of a million rows does.
            found = [children(self, key, leaf, tids) for _ in range(4)]
            known = self._asking.fetch(b"SELECT statement FROM pg_prepared_statements", _Prepared)
            prepared[key.name] = [one.statement for one in known]
            return found[0]

    monkeypatch.setattr("pgwatch_tests.sweep.rows.passes.DatabaseRows", Reading)

    swept(database.dsn)

    assert any('"bookings" AS c' in one for one in prepared["bookings_user_id_fkey"])
    assert not any('"notes" AS c' in one for one in prepared["notes_user_id_fkey"])
