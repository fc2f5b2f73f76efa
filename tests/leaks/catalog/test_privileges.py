"""What a role may not read is skipped, with a reason and what would help; the rest is counted."""

from __future__ import annotations

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.model import LeakReport, Skipped
from tests.leaks.scanning import insert, only_skipped, reasons, rows, scanned
from tests.servers.sessions import Database, MakeRole


@pytest.fixture
def role(make_role: MakeRole) -> str:
    """A role that may connect, and nothing else."""
    return make_role()


class Scan:
    """Scans the test's database as a role."""

    def __init__(self, server: EmbeddedServer, database: Database) -> None:
        self._server = server
        self._database = database

    def __call__(self, role: str) -> LeakReport:
        return scanned(self._server.dsn(self._database.name, role))


@pytest.fixture
def scan_as(server: EmbeddedServer, database: Database) -> Scan:
    """Scans the test's database as a role."""
    return Scan(server, database)


def grant(owner: Connection[TupleRow], privilege: str, role: str) -> None:
    owner.execute(f'GRANT {privilege} TO "{role}"'.encode())


def test_seven_rows_and_two_tables_that_cant_be_read(
    owner: Connection[TupleRow], role: str, scan_as: Scan
) -> None:
    owner.execute("CREATE TABLE users (email text)")
    owner.execute("CREATE TABLE secret (email text)")
    owner.execute("CREATE TABLE hidden (email text)")
    owner.execute("ALTER TABLE hidden ENABLE ROW LEVEL SECURITY")
    insert(owner, "users", *(f"user{i}@test.example.com" for i in range(7)))
    insert(owner, "secret", "a@test.example.com")
    insert(owner, "hidden", "a@test.example.com")
    grant(owner, "SELECT ON users, hidden", role)

    report = scan_as(role)

    assert rows(report) == {"public.users": 7}
    assert report.skipped == (
        Skipped(
            "public",
            "hidden",
            "row-level security",
            f'ALTER ROLE "{role}" BYPASSRLS, or check as the table\'s owner "postgres"',
        ),
        Skipped("public", "secret", "no SELECT privilege", f'GRANT SELECT ON "public"."secret" TO "{role}"'),
    )
    assert not report.complete


def test_who_the_policies_dont_bind_sees_all_rows(
    owner: Connection[TupleRow], database: Database, make_role: MakeRole, scan_as: Scan
) -> None:
    exempt = make_role("BYPASSRLS")
    owner.execute("CREATE TABLE t (email text)")
    owner.execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    insert(owner, "t", "a@test.example.com")
    grant(owner, "SELECT ON t", exempt)

    assert rows(scan_as(exempt)) == rows(scanned(database.dsn)) == {"public.t": 1}


def test_row_level_security_that_binds_the_owner_too(
    owner: Connection[TupleRow], role: str, scan_as: Scan
) -> None:
    owner.execute("CREATE TABLE t (email text)")
    owner.execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    owner.execute(f'ALTER TABLE t OWNER TO "{role}"'.encode())
    assert scan_as(role).complete

    owner.execute("ALTER TABLE t FORCE ROW LEVEL SECURITY")

    assert only_skipped(scan_as(role)) == Skipped(
        "public", "t", "row-level security", f'ALTER ROLE "{role}" BYPASSRLS'
    )


def test_a_schema_that_may_not_be_used(owner: Connection[TupleRow], role: str, scan_as: Scan) -> None:
    owner.execute('CREATE SCHEMA "my ""own"""')
    owner.execute('CREATE TABLE "my ""own""".granted (email text)')
    owner.execute('CREATE TABLE "my ""own""".denied (email text)')
    grant(owner, 'SELECT ON "my ""own""".granted', role)

    report = scan_as(role)

    denied, granted = report.skipped
    usage = f'GRANT USAGE ON SCHEMA "my ""own""" TO "{role}"'
    assert granted == Skipped('my "own"', "granted", "no USAGE privilege", usage)
    assert denied.reason == "no USAGE and no SELECT privilege"
    # The hint is what helps, as it stands.
    owner.execute(denied.hint.encode())
    assert scan_as(role).complete


def test_what_may_be_read_of_a_table_is_counted_and_the_rest_is_named(
    owner: Connection[TupleRow], role: str, scan_as: Scan
) -> None:
    owner.execute('CREATE TABLE t (open text, "Closed %s" text, "c""d" text, created_at timestamptz)')
    insert(
        owner,
        "t",
        ("a@test.example.com", "x", "x", "2020-01-01"),
        ("x", "a@test.example.com", "x", "2020-01-01"),
    )
    grant(owner, "SELECT (open) ON t", role)

    report = scan_as(role)

    assert rows(report) == {"public.t": 1}
    assert report.tables[0].columns == ("open",)
    assert report.tables[0].oldest is None
    assert report.tables[0].committed is None
    skipped = only_skipped(report)
    assert skipped.reason == 'no SELECT privilege on Closed %s, c"d; the other columns were checked'
    owner.execute(skipped.hint.encode())
    assert rows(scan_as(role)) == {"public.t": 2}
    assert scan_as(role).complete


def test_a_table_without_strings_needs_no_privilege(
    owner: Connection[TupleRow], role: str, scan_as: Scan
) -> None:
    owner.execute("CREATE TABLE numbers (i int)")
    owner.execute("ALTER TABLE numbers ENABLE ROW LEVEL SECURITY")

    assert scan_as(role).complete


def test_partitions_need_no_privilege_of_their_own(
    owner: Connection[TupleRow], role: str, scan_as: Scan
) -> None:
    owner.execute("CREATE TABLE root (email text) PARTITION BY LIST (email)")
    owner.execute("CREATE TABLE leaf PARTITION OF root DEFAULT")
    insert(owner, "root", "a@test.example.com")
    grant(owner, "SELECT ON root", role)

    report = scan_as(role)

    assert (rows(report), report.complete) == ({"public.root": 1}, True)


def test_foreign_tables_are_not_checked(owner: Connection[TupleRow], database: Database) -> None:
    make_foreign_server(owner)
    owner.execute("CREATE FOREIGN TABLE elsewhere (email text) SERVER far")
    owner.execute("CREATE FOREIGN TABLE numbers (i int) SERVER far")
    owner.execute("CREATE TABLE root (i int, email text) PARTITION BY LIST (i)")
    owner.execute("CREATE TABLE mid PARTITION OF root FOR VALUES IN (1, 2) PARTITION BY LIST (i)")
    owner.execute("CREATE FOREIGN TABLE leaf PARTITION OF mid FOR VALUES IN (1) SERVER far")
    owner.execute("CREATE TABLE here (email text)")

    report = scanned(database.dsn)

    assert reasons(report) == {
        "public.elsewhere": "foreign table: not checked",
        "public.root": "foreign partitions: not checked",
    }
    assert all(skipped.hint for skipped in report.skipped)
    assert report.tables_checked == 1


def make_foreign_server(owner: Connection[TupleRow]) -> None:
    # No handler: nothing that a scan does may touch it.
    owner.execute("CREATE FOREIGN DATA WRAPPER nowhere")
    owner.execute("CREATE SERVER far FOREIGN DATA WRAPPER nowhere")


def test_a_privilege_that_is_taken_away_meanwhile(
    owner: Connection[TupleRow], server: EmbeddedServer, database: Database, role: str
) -> None:
    for i in range(5):
        owner.execute(f"CREATE TABLE t{i} AS SELECT 'a@test.example.com' AS c".encode())
        grant(owner, f"SELECT ON t{i}", role)

    def revoke(done: int, _: int) -> None:
        if done == 0:
            owner.execute(sql.SQL("REVOKE SELECT ON t3 FROM {}").format(sql.Identifier(role)))

    report = scanned(server.dsn(database.name, role), progress=revoke)

    assert rows(report) == {f"public.t{i}": 1 for i in (0, 1, 2, 4)}
    # The catalogs have changed, so they were asked once more.
    assert reasons(report) == {"public.t3": "no SELECT privilege"}


def test_a_policy_that_comes_meanwhile_hides_nothing(
    owner: Connection[TupleRow], server: EmbeddedServer, database: Database, role: str
) -> None:
    owner.execute("CREATE TABLE t AS SELECT 'a@test.example.com' AS c")
    grant(owner, "SELECT ON t", role)

    def protect(done: int, _: int) -> None:
        if done == 0:
            owner.execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY")

    report = scanned(server.dsn(database.name, role), progress=protect)

    assert report.tables == ()
    assert "row-level security" in only_skipped(report).reason
