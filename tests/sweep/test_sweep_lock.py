"""One sweep at a time in a database, and the next one at once."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.postgres.sweep_lock import LOCK_KEY
from tests.servers.sessions import Connect, Database
from tests.sweep.rows.row_sweeps import deleted, make, swept


def test_the_next_sweep_need_not_wait_for_the_server_to_notice_the_end_of_the_last_one(
    database: Database, owner: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    close = DatabaseSession.close

    def looking(session: DatabaseSession) -> None:
        query = (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        held.append(owner.execute(query).fetchall()[0][0])
        close(session)

    monkeypatch.setattr(DatabaseSession, "close", looking)

    swept(database.dsn)

    assert held == [0]


def test_while_another_one_sweeps_only_a_dry_one_is_possible(
    database: Database, owner: Connection[TupleRow], connect: Connect
) -> None:
    make(owner, "CREATE TABLE users (email text); INSERT INTO users VALUES (MARKED)")
    other = connect("nightly", autocommit=True)
    other.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])

    dry = swept(database.dsn, dry_run=True)
    with pytest.raises(
        RefusedError, match=f"another sweep is running in this database: pid {other.info.backend_pid}"
    ):
        swept(database.dsn)
    other.execute("SELECT pg_advisory_unlock(%s)", [LOCK_KEY])

    assert [(one.table, one.marked) for one in dry.planned] == [("users", 1)]
    assert deleted(swept(database.dsn)) == {"users": (1, 0)}
