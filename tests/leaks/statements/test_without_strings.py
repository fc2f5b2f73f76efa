"""Tables in which no marker can be are named, not silently left out."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.reports.leaks.leak_table import table
from tests.leaks.scanning import scanned
from tests.servers.sessions import Database


def test_they_are_named_and_not_counted_as_checked(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TYPE kind AS ENUM ('a@test.example.com')")
    owner.execute("CREATE TABLE counters (id int, n bigint, at timestamptz)")
    owner.execute("CREATE TABLE kinds (kind kind)")
    owner.execute("CREATE TABLE nothing ()")
    owner.execute("CREATE TABLE users (email text, id int)")
    owner.execute("CREATE TABLE pages (day int, n int) PARTITION BY LIST (day)")
    owner.execute("CREATE TABLE pages_1 PARTITION OF pages FOR VALUES IN (1)")
    owner.execute("INSERT INTO users VALUES (%s)", ["a@test.example.com"])

    report = scanned(database.dsn)

    assert report.without_strings == ("public.counters", "public.kinds", "public.nothing", "public.pages")
    assert (report.tables_checked, report.total, report.complete) == (1, 1, True)
    assert "No strings to search in 4 tables: public.counters, public.kinds," in table(report)
