"""Roles that may not do everything, and tables that publish what is deleted: nothing is half deleted."""

from __future__ import annotations

from typing import LiteralString

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.servers.sessions import Database, MakeRole
from tests.sweep.rows.bookings import (
    WHOLE,
    add_users,
    count,
    details,
    half_users,
    make_tables,
    marked_users,
    swept,
)


@pytest.fixture
def users(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """A hundred of them that tests left, and a real one."""
    make_tables(owner)
    add_users(owner, 1, 100)
    add_users(owner, 5001, 5001, marked=False)
    return owner


@pytest.fixture
def plain(users: Connection[TupleRow], make_role: MakeRole) -> str:
    """A role that may read and change all tables."""
    role = make_role()
    grant(users, "SELECT, UPDATE, DELETE ON users, bookings, items", role)
    return role


def grant(owner: Connection[TupleRow], what: LiteralString, role: str) -> None:
    owner.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(what), sql.Identifier(role)))


def revoke(owner: Connection[TupleRow], what: LiteralString, role: str) -> None:
    owner.execute(sql.SQL("REVOKE {} FROM {}").format(sql.SQL(what), sql.Identifier(role)))


def nothing_happened(owner: Connection[TupleRow]) -> bool:
    return len(marked_users(owner)) == 100 and half_users(owner) == []


def test_a_plain_role_with_all_it_takes(
    users: Connection[TupleRow], server: EmbeddedServer, database: Database, plain: str
) -> None:
    report = swept(server.dsn(database.name, plain))

    assert report.deleted_rows == 100 * WHOLE
    assert report.complete


@pytest.mark.parametrize("table", ["users", "bookings", "items"])
@pytest.mark.parametrize("privilege", ["SELECT", "UPDATE", "DELETE"])
def test_a_privilege_that_is_missing(
    users: Connection[TupleRow],
    server: EmbeddedServer,
    database: Database,
    plain: str,
    table: LiteralString,
    privilege: LiteralString,
) -> None:
    revoke(users, f"{privilege} ON {table}", plain)

    report = swept(server.dsn(database.name, plain))

    assert nothing_happened(users)
    assert report.deleted_rows == 0
    assert not report.complete
    told = " ".join((*details(report), *report.not_checked))
    assert f"GRANT {privilege} ON public.{table} TO {plain}" in told.replace('"', "")


def test_clusters_that_dont_reach_a_table_without_privileges(
    users: Connection[TupleRow], server: EmbeddedServer, database: Database, plain: str
) -> None:
    users.execute("DELETE FROM items WHERE booking_id IN (SELECT id FROM bookings WHERE user_id <= 10)")
    revoke(users, "DELETE ON items", plain)

    report = swept(server.dsn(database.name, plain))

    assert marked_users(users) == list(range(11, 101))
    assert half_users(users) == []
    assert report.deleted_rows == 10 * 3


def test_a_schema_without_usage(
    users: Connection[TupleRow], server: EmbeddedServer, database: Database, plain: str
) -> None:
    users.execute("CREATE SCHEMA apart; ALTER TABLE items SET SCHEMA apart")

    report = swept(server.dsn(database.name, plain))

    assert len(marked_users(users)) == 100
    assert count(users, "apart.items") == 404
    assert any(f'GRANT USAGE ON SCHEMA "apart" TO "{plain}"' in detail for detail in details(report))


def test_only_some_columns(
    users: Connection[TupleRow], server: EmbeddedServer, database: Database, plain: str
) -> None:
    revoke(users, "SELECT ON bookings", plain)
    grant(users, "SELECT (id, note), UPDATE (note) ON bookings", plain)

    report = swept(server.dsn(database.name, plain))

    assert nothing_happened(users)
    assert not report.complete


@pytest.mark.parametrize("privilege", ["SELECT", "UPDATE"])
def test_rows_that_on_delete_set_null_would_change(
    users: Connection[TupleRow],
    server: EmbeddedServer,
    database: Database,
    plain: str,
    privilege: LiteralString,
) -> None:
    users.execute("CREATE TABLE notes (user_id bigint REFERENCES users ON DELETE SET NULL)")
    users.execute("INSERT INTO notes VALUES (1)")
    grant(users, "SELECT, UPDATE ON notes", plain)
    revoke(users, f"{privilege} ON notes", plain)

    report = swept(server.dsn(database.name, plain))

    assert nothing_happened(users)
    (detail,) = details(report)
    assert detail.endswith(f'GRANT {privilege} ON "public"."notes" TO "{plain}"')


def test_partitions_have_privileges_of_their_own(
    users: Connection[TupleRow], server: EmbeddedServer, database: Database, plain: str
) -> None:
    users.execute("CREATE TABLE logs (user_id bigint REFERENCES users) PARTITION BY RANGE (user_id)")
    users.execute("CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (51)")
    users.execute("CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM (51) TO (101)")
    users.execute("CREATE INDEX ON logs (user_id)")
    users.execute("INSERT INTO logs SELECT id FROM users WHERE id <= 100")
    grant(users, "SELECT, UPDATE, DELETE ON logs, logs_1", plain)

    report = swept(server.dsn(database.name, plain))

    assert marked_users(users) == list(range(51, 101))
    assert half_users(users) == []
    assert count(users, "logs") == 50
    assert any("public.logs_2" in detail and "GRANT" in detail for detail in details(report))


def test_row_level_security(
    users: Connection[TupleRow], server: EmbeddedServer, database: Database, plain: str
) -> None:
    users.execute("ALTER TABLE bookings ENABLE ROW LEVEL SECURITY")
    users.execute("CREATE POLICY half ON bookings USING (id % 2 = 0)")

    report = swept(server.dsn(database.name, plain))

    assert nothing_happened(users)
    assert f'row-level security on public.bookings: ALTER ROLE "{plain}" BYPASSRLS' in str(details(report))
    assert swept(database.dsn).deleted_rows == 100 * WHOLE  # a superuser isn't bound by it


def test_row_level_security_that_binds_the_owner(
    users: Connection[TupleRow], server: EmbeddedServer, database: Database, plain: str
) -> None:
    users.execute(sql.SQL("ALTER TABLE items OWNER TO {}").format(sql.Identifier(plain)))
    users.execute("ALTER TABLE items ENABLE ROW LEVEL SECURITY")
    users.execute("CREATE POLICY cheap ON items USING (price = 1)")
    assert swept(server.dsn(database.name, plain)).deleted_rows == 100 * WHOLE
    add_users(users, 1, 100)
    users.execute("ALTER TABLE items FORCE ROW LEVEL SECURITY")

    report = swept(server.dsn(database.name, plain))

    assert nothing_happened(users)
    assert "row-level security on public.items" in str(details(report))


@pytest.mark.parametrize("published", ["FOR ALL TABLES", "FOR TABLE items", "FOR TABLES IN SCHEMA public"])
def test_a_publication_of_a_table_without_identity(
    users: Connection[TupleRow], database: Database, published: LiteralString
) -> None:
    if published == "FOR TABLES IN SCHEMA public" and users.info.server_version < 150000:
        pytest.skip("publications of schemas came with 15")
    users.execute("ALTER TABLE items DROP CONSTRAINT items_pkey")
    users.execute(sql.SQL("CREATE PUBLICATION news {}").format(sql.SQL(published)))

    report = swept(database.dsn)

    assert nothing_happened(users)
    assert details(report) == {
        "public.items has no replica identity, but publication news publishes its deletes:"
        ' ALTER TABLE "public"."items" REPLICA IDENTITY FULL'
    }
    users.execute("ALTER TABLE items REPLICA IDENTITY FULL")
    assert swept(database.dsn).deleted_rows == 100 * WHOLE


@pytest.mark.parametrize("options", ["", " WITH (publish_via_partition_root)"])
def test_a_publication_of_partitions_without_identity(
    users: Connection[TupleRow], database: Database, options: LiteralString
) -> None:
    users.execute("CREATE TABLE logs (user_id bigint REFERENCES users) PARTITION BY RANGE (user_id)")
    users.execute("CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (101)")
    users.execute("CREATE INDEX ON logs (user_id)")
    users.execute("INSERT INTO logs SELECT id FROM users WHERE id <= 50")
    users.execute(sql.SQL("CREATE PUBLICATION news FOR TABLE logs{}").format(sql.SQL(options)))

    report = swept(database.dsn)

    assert marked_users(users) == list(range(1, 51))
    assert half_users(users) == []
    assert count(users, "logs") == 50
    assert "public.logs_1 has no replica identity" in str(details(report))


def test_a_publication_without_deletes(users: Connection[TupleRow], database: Database) -> None:
    users.execute("ALTER TABLE items DROP CONSTRAINT items_pkey")
    users.execute("CREATE PUBLICATION news FOR ALL TABLES WITH (publish = 'insert')")

    assert swept(database.dsn).deleted_rows == 100 * WHOLE
