"""What the settings leave out isn't read, and is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.leaks.model import Ignored
from pgwatch_tests.settings.load import IgnoreSetting
from tests.leaks.scanning import reasons, rows, scanned
from tests.servers.sessions import Connect, Database, MakeRole


def ignored(what: str, schema: str, table: str, column: str) -> bool:
    return Ignores([IgnoreSetting(what)]).ignored(schema, table, column)


@pytest.mark.parametrize(
    ("what", "yes", "no"),
    [
        ("audit", ("audit", "t", "c"), ("audit2", "t", "c")),
        ("AUDIT", ("audit", "t", "c"), ("AUDIT", "t", "c")),
        ('"Audit"', ("Audit", "t", "c"), ("audit", "t", "c")),
        ("public.users", ("public", "users", "c"), ("public", "users2", "c")),
        ("public.users.notes", ("public", "users", "notes"), ("public", "users", "note")),
        ("*.log_*", ("any", "log_", "c"), ("any", "xlog_1", "c")),
        ("*.*.note", ("a", "b", "note"), ("a", "b", "notes")),
        ("a*z.t", ("a\nz", "t", "c"), ("az2", "t", "c")),
        ('"a.b"."c""d"', ("a.b", 'c"d', "x"), ("a", "b", "x")),
        ('"*".t', ("*", "t", "c"), ("x", "t", "c")),
        ("ÄB.c[d]", ("Äb", "c[d]", "x"), ("äb", "c[d]", "x")),
        ("s.a b%s", ("s", "a b%s", "x"), ("s", "a", "b")),
    ],
)
def test_names(what: str, yes: tuple[str, str, str], no: tuple[str, str, str]) -> None:
    assert ignored(what, *yes)
    assert not ignored(what, *no)


@given(*[st.text(min_size=1)] * 3)
def test_any_name_can_be_quoted(schema: str, table: str, column: str) -> None:
    quoted = ".".join('"{}"'.format(name.replace('"', '""')) for name in (schema, table, column))

    assert ignored(quoted, schema, table, column)
    assert not ignored(quoted, schema, table, column + "x")


@pytest.mark.parametrize("what", ["", ".", "a.", ".a", "a..b", "a.b.c.d", '"a', 'a"b"', '"a"b', '""', 'a."b'])
def test_what_is_no_name(what: str) -> None:
    with pytest.raises(ConfigurationError, match="can't ignore"):
        Ignores([IgnoreSetting(what)])


def test_what_is_ignored_isnt_looked_for_and_is_named(
    database: Database, owner: Connection[TupleRow]
) -> None:
    for statement in (
        b"CREATE SCHEMA audit",
        b"CREATE TABLE audit.a AS SELECT 'a@test.example.com' AS c",
        b"CREATE TABLE audit.b AS SELECT 'a@test.example.com' AS c",
        b"CREATE TABLE users AS SELECT 'a@test.example.com' AS email, 'b@test.example.com' AS notes",
        b"INSERT INTO users VALUES ('x', 'c@test.example.com')",
        b"CREATE TABLE log (c text, created_at timestamptz)",
        b"INSERT INTO log VALUES ('a@test.example.com', now())",
        b"CREATE TABLE only_notes AS SELECT 'b@test.example.com' AS notes",
    ):
        owner.execute(statement)
    ignore = (
        IgnoreSetting("audit", "kept for a year"),
        IgnoreSetting("public.*.notes"),
        IgnoreSetting("*.*.created_at"),
        IgnoreSetting("pubic.users"),
        IgnoreSetting("audit.a"),
    )

    report = scanned(database.dsn, ignore=ignore)

    assert rows(report) == {"public.log": 1, "public.users": 1}
    assert {leak.columns for leak in report.tables} == {("c",), ("email",)}
    assert all(leak.oldest is None for leak in report.tables)
    assert report.tables_checked == 2
    assert report.ignored == (
        Ignored("audit", "kept for a year", 2),
        Ignored("public.*.notes", "", 2),
        Ignored("*.*.created_at", "", 1),
        Ignored("pubic.users", "", 0),
        Ignored("audit.a", "", 1),
    )
    assert report.complete


def test_what_is_ignored_needs_no_privilege_and_no_lock(
    server: EmbeddedServer,
    database: Database,
    owner: Connection[TupleRow],
    connect: Connect,
    make_role: MakeRole,
) -> None:
    role = make_role()
    for statement in (
        "CREATE TABLE secret AS SELECT 'a@test.example.com' AS c",
        "CREATE TABLE partly AS SELECT 'a@test.example.com' AS open, 'x' AS closed, 'x' AS hidden",
        f'GRANT SELECT (open) ON partly TO "{role}"',
        "CREATE TABLE locked AS SELECT 'a@test.example.com' AS c",
        f'GRANT SELECT ON locked TO "{role}"',
        "CREATE FOREIGN DATA WRAPPER nowhere",
        "CREATE SERVER far FOREIGN DATA WRAPPER nowhere",
        "CREATE FOREIGN TABLE elsewhere (c text) SERVER far",
    ):
        owner.execute(statement.encode())
    connect().execute("LOCK TABLE locked")
    names = ("public.secret", "*.partly.closed", "public.locked", "public.elsewhere")
    dsn = server.dsn(database.name, role)

    some = scanned(dsn, ignore=tuple(map(IgnoreSetting, names)))
    all_ = scanned(dsn, ignore=tuple(map(IgnoreSetting, (*names, "public.partly.hidden"))))

    assert rows(some) == rows(all_) == {"public.partly": 1}
    assert reasons(some) == {"public.partly": "no SELECT privilege on hidden; the other columns were checked"}
    assert all_.complete
