"""Errors of triggers that look like those of a connection, or of a table that is gone: one row's matter."""

from __future__ import annotations

from typing import LiteralString

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import deleted, ids, kept, make, swept

_TABLES = (
    "CREATE TABLE tickets (id int PRIMARY KEY, m text); CREATE TABLE notes (id int PRIMARY KEY, m text);"
    "INSERT INTO tickets SELECT i, MARKED FROM generate_series(1, 5) i; INSERT INTO notes VALUES (1, MARKED);"
)
_FAILS: dict[str, LiteralString] = {
    "another server is down": "RAISE 'down' USING ERRCODE = 'sqlclient_unable_to_establish_sqlconnection'",
    "another server ended the session": "RAISE 'ended' USING ERRCODE = 'admin_shutdown'",
    "no such table": "INSERT INTO nowhere VALUES (OLD.id)",
    "no such column": "UPDATE public.notes SET gone = 1",
    "no such function": "PERFORM gone(OLD.id)",
    "no such schema": "CREATE TABLE gone.audit ()",
}


@pytest.mark.parametrize("fails", _FAILS.values(), ids=_FAILS)
def test_only_the_row_stays_that_it_is_about(
    owner: Connection[TupleRow], database: Database, fails: LiteralString
) -> None:
    make(owner, _TABLES)
    owner.execute(
        f"CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {fails}; RETURN OLD; END $$"
    )
    owner.execute(
        "CREATE TRIGGER tell BEFORE DELETE ON tickets FOR EACH ROW WHEN (OLD.id = 3) EXECUTE FUNCTION tell()"
    )

    report = swept(database.dsn)

    assert ids(owner, "tickets") == [3]
    assert deleted(report) == {"tickets": (4, 0), "notes": (1, 0)}
    assert kept(report) == {("tickets", "refused"): 1}
    assert "trigger tell of public.tickets (function public.tell) refuses" in report.kept[0].detail
    assert not report.error
