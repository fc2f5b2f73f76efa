"""Waits of which the blocking session is the story: of the same test, or waiting for its own client."""

from __future__ import annotations

from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.rows import accounts
from tests.locks.scenarios.tables import TABLE
from tests.locks.scenarios.truth import Truth, hard, scenario

ITSELF = "waits_for_itself"
CLIENT = "waits_for_client"


@scenario()
def test_that_waits_for_its_own_transaction(cast: Cast) -> Truth:
    accounts(cast)
    one, other = (cast.session(part, test="test_copy") for part in ("one", "other"))
    one.execute("SELECT * FROM accounts")
    cast.waits(other, "DROP TABLE accounts")
    return Truth((hard("other", "one", TABLE),), roots={"one": 1}, causes={"one": ITSELF})


@scenario()
def test_that_waits_for_itself_through_another(cast: Cast) -> Truth:
    accounts(cast)
    one, another = cast.session("one", test="test_copy"), cast.session("another")
    other = cast.session("other", test="test_copy")
    one.execute("SELECT * FROM accounts")
    cast.run("CREATE TABLE notes ()")
    another.execute("LOCK TABLE notes")
    cast.waits(another, "LOCK TABLE accounts")
    cast.waits(other, "SELECT * FROM notes")
    return Truth(
        (hard("another", "one", TABLE), hard("other", "another", "table notes")),
        roots={"one": 2},
        causes={"one": ITSELF},
    )


@scenario()
def rows_that_nobody_reads(cast: Cast) -> Truth:
    cast.run("CREATE TABLE books AS SELECT repeat('x', 2000) AS text FROM generate_series(1, 20000)")
    reader, cleaner = cast.session("reader", autocommit=True), cast.session("cleaner", autocommit=True)
    reader.pgconn.send_query(b"SELECT * FROM books")
    reader.pgconn.flush()
    cast.until_event(reader, "ClientWrite")
    cast.waits(cleaner, "TRUNCATE books")
    return Truth((hard("cleaner", "reader", "table books"),), roots={"reader": 1}, causes={"reader": CLIENT})


@scenario()
def copy_that_is_not_finished(cast: Cast) -> Truth:
    accounts(cast)
    copying, cleaner = cast.session("copying", autocommit=True), cast.session("cleaner", autocommit=True)
    copying.pgconn.exec_(b"COPY accounts FROM STDIN")
    cast.until_event(copying, "ClientRead")
    cast.waits(cleaner, "TRUNCATE accounts")
    return Truth((hard("cleaner", "copying", TABLE),), roots={"copying": 1}, causes={"copying": CLIENT})
