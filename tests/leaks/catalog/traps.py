"""A database whose owner, a plain role, has laid traps: code that leaves a file when a superuser runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from tests import contrib
from tests.servers.sessions import Database, MakeRole

# A file, since a reader's transaction may be read-only. Not of what isn't volatile, so by another one.
_RAN = """
CREATE FUNCTION m.ran(what text) RETURNS void VOLATILE LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    EXECUTE format('COPY (SELECT 1) TO %L', '{directory}/' || what);
  END IF;
END $$
"""
_FUNCTION = """
CREATE FUNCTION m.{name}({arguments}) RETURNS {result} IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN PERFORM m.ran('{trap}'); RETURN {value}; END $$
"""


@dataclass(frozen=True)
class Traps:
    """The database, and where its traps leave files."""

    database: Database
    owner: Connection[TupleRow]
    directory: Path

    def lay(self, trap: str, name: str, arguments: str, result: str, value: str) -> None:
        """A function that says it was run as `trap`."""
        self.run(
            _FUNCTION.format(trap=trap, name=name, arguments=arguments, result=result, value=value),
        )

    def run(self, *statements: str) -> None:
        """Runs statements as the owner."""
        for statement in statements:
            self.owner.execute(statement.encode())

    def sprung(self) -> set[str]:
        """The traps that somebody ran as a superuser, forgotten with this."""
        found = {path.name for path in self.directory.iterdir()}
        for path in self.directory.iterdir():
            path.unlink()
        return found

    def springs(self, statement: str) -> set[str]:
        """What a superuser's careless statement runs."""
        with psycopg.connect(self.database.dsn, autocommit=True) as careless, suppress(errors.Error):
            careless.execute(statement.encode())
        return self.sprung()


@contextmanager
def trapped(server: EmbeddedServer, database: Database, make_role: MakeRole) -> Iterator[Traps]:
    """The database, now of a plain role; nothing is laid yet."""
    role = make_role()
    directory = server.directory / f"sprung-{database.name}"
    directory.mkdir()
    # The server may run as another user.
    directory.chmod(0o777)
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
                sql.Identifier(database.name), sql.Identifier(role)
            )
        )
    with psycopg.connect(database.dsn, autocommit=True) as administrator:
        administrator.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    with psycopg.connect(database.dsn, user=role, autocommit=True) as owner:
        traps = Traps(database, owner, directory)
        traps.run("CREATE SCHEMA m", _RAN.format(directory=directory), "SET search_path = m, public")
        yield traps
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        # So that the role can be dropped.
        administrator.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(sql.Identifier(database.name))
        )


def lay_casts(traps: Traps) -> None:
    """Types with casts of the owner's, in columns of all sorts and in primary keys."""
    traps.run("CREATE TYPE m.pair AS (t text, j jsonb)", "CREATE TYPE m.mood AS ENUM ('glad', 'sad')")
    traps.run("CREATE TYPE m.span AS RANGE (subtype = text)", "CREATE DOMAIN m.word AS text")
    for name, type_ in (("pair", "m.pair"), ("mood", "m.mood"), ("span", "m.span"), ("words", "m.word[]")):
        for result, value in (
            ("text", "'a@test.example.com'"),
            ("json", "'\"a@test.example.com\"'"),
            ("tsvector", "''"),
        ):
            traps.lay(f"cast {name} {result}", f"cast_{name}_{result}", type_, result, value)
            traps.run(f"CREATE CAST ({type_} AS {result}) WITH FUNCTION m.cast_{name}_{result} AS IMPLICIT")
    traps.run(
        "CREATE TABLE m.casts (p m.pair, s m.span, w m.word[], q m.pair[], n text)",
        "INSERT INTO m.casts VALUES (ROW('a@test.example.com', '1'), '[a,b)', '{x}', NULL, 'x')",
        "CREATE TABLE m.by_mood (mood m.mood PRIMARY KEY, t text)",
        "INSERT INTO m.by_mood VALUES ('glad', 'a@test.example.com')",
        "CREATE TABLE m.by_pair (pair m.pair PRIMARY KEY, t text)",
        "INSERT INTO m.by_pair VALUES (ROW('x', '1'), 'a@test.example.com')",
    )


def lay_names(traps: Traps) -> None:
    """What the server has, by the same names, ahead of it in the database's search_path."""
    for name, arguments, result, value in (
        ("concat", "text", "text", "$1"),
        ("lower", "text", "text", "$1"),
        ('"left"', "text, int", "text", "$1"),
        ("substring", "text, text", "text", "NULL"),
        ("isfinite", "timestamptz", "bool", "true"),
        ("pg_relation_filenode", "oid", "oid", "$1"),
        ("eq_tid", "tid, tid", "bool", "true"),
        ("like_text", "text, text", "bool", "true"),
        ("plus", "int, int", "int", "0"),
    ):
        traps.lay(f"name {name}".replace('"', ""), name, arguments, result, value)
    traps.lay("name unnest", "unnest", "text[]", "SETOF text", "NEXT NULL")
    traps.lay("name count", "counted", "bigint", "bigint", "0")
    traps.run(
        "CREATE AGGREGATE m.count(*) (SFUNC = m.counted, STYPE = bigint, INITCOND = '0')",
        "CREATE OPERATOR m.= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = m.eq_tid)",
        "CREATE OPERATOR m.~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = m.like_text)",
        "CREATE OPERATOR m.+ (LEFTARG = int, RIGHTARG = int, FUNCTION = m.plus)",
        'CREATE COLLATION m."C" FROM "POSIX"',
        "CREATE DOMAIN m.tid AS text",
        f'ALTER DATABASE "{traps.database.name}" SET search_path = m, pg_catalog',
        "CREATE TABLE m.people (id int PRIMARY KEY, email text, created_at timestamptz DEFAULT now())",
        "INSERT INTO m.people VALUES (1, 'a@test.example.com'), (2, 'x')",
    )


def lay_checks(traps: Traps) -> None:
    """Checks of domains, and views."""
    traps.lay("domain", "checked", "text", "bool", "true")
    traps.lay("view", "viewed", "text", "text", "$1")
    traps.run(
        "CREATE DOMAIN m.address AS text CHECK (m.checked(value))",
        "CREATE TABLE m.addresses (a m.address, b m.address[])",
        "INSERT INTO m.addresses VALUES ('a@test.example.com', '{a@test.example.com}')",
        "CREATE VIEW m.seen AS SELECT m.viewed('x') AS t",
    )


def lay_plans(traps: Traps) -> None:
    """Expressions that the server computes when a statement on the table is planned."""
    traps.lay("plan", "planned", "int", "bool", "true")
    for number, statement in enumerate(
        (
            "CREATE INDEX ON m.{} (t) WHERE m.planned(1)",
            "CREATE INDEX ON m.{} ((m.planned(1)))",
            "ALTER TABLE m.{} ADD CHECK (m.planned(1))",
        )
    ):
        traps.run(f"CREATE TABLE m.plan{number} (t text)", statement.format(f"plan{number}"))
        traps.run("INSERT INTO m.{} VALUES ('a@test.example.com')".format(f"plan{number}"))  # noqa: S608
    if traps.owner.info.server_version >= 140000:
        traps.run(
            "CREATE TABLE m.planned_statistics (t text)",
            "CREATE STATISTICS m.s ON (m.planned(1) OR t = 'x'), t FROM m.planned_statistics",
        )
    traps.run(
        "CREATE TABLE m.planned_parts (id int, t text) PARTITION BY RANGE ((id + m.planned(1)::int))",
        "CREATE TABLE m.planned_part PARTITION OF m.planned_parts DEFAULT",
        "INSERT INTO m.planned_parts VALUES (1, 'a@test.example.com')",
        "CREATE TABLE m.parents (id int PRIMARY KEY, t text)",
        "INSERT INTO m.parents VALUES (1, 'a@test.example.com')",
        "CREATE TABLE m.children (id int, t text, parent int REFERENCES m.parents)",
        "INSERT INTO m.children VALUES (1, 'x', 1)",
        "CREATE INDEX ON m.children (id) WHERE m.planned(1)",
    )


def lay_hstore(traps: Traps) -> None:
    """Overloads of an extension's functions, for a domain over its type and for anything. Needs hstore."""
    contrib.create(traps.owner, "CREATE EXTENSION hstore SCHEMA m")
    traps.run("CREATE DOMAIN m.pairs AS m.hstore")
    traps.lay("hstore domain", "hstore_to_array", "m.pairs", "text[]", "'{a@test.example.com}'")
    traps.lay("hstore any", "hstore_to_array", "anyelement", "text[]", "'{a@test.example.com}'")
    traps.run(
        "CREATE TABLE m.stores (a m.pairs, b m.hstore, c m.pairs[])",
        "INSERT INTO m.stores VALUES ('k=>a@test.example.com', 'k=>x', ARRAY['k=>x'::m.pairs])",
    )


def lay_keys(traps: Traps) -> None:
    """A foreign key that compares by the owner's operator. Only a superuser can make its operator class."""
    names = {"<": "below", "<=": "most", "=": "same", ">=": "least", ">": "over"}
    for sign, name in names.items():
        traps.lay(f"key {name}", f"key_{name}", "int, int", "bool", f"int4eq($1, $2) OR '{sign}' <> '='")
        traps.run(f"CREATE OPERATOR m.{sign} (LEFTARG = int, RIGHTARG = int, FUNCTION = m.key_{name})")
    traps.lay("key order", "key_order", "int, int", "int", "btint4cmp($1, $2)")
    with psycopg.connect(traps.database.dsn, autocommit=True) as superuser:
        signs = ", ".join(f"OPERATOR {number} m.{sign}" for number, sign in enumerate(names, start=1))
        made = f"CREATE OPERATOR CLASS m.keys FOR TYPE int USING btree AS {signs}"
        superuser.execute(f"{made}, FUNCTION 1 m.key_order(int, int)".encode())
    traps.run(
        "CREATE TABLE m.rooms (id int, t text)",
        "CREATE UNIQUE INDEX ON m.rooms (id m.keys)",
        "INSERT INTO m.rooms VALUES (1, 'a@test.example.com')",
        "CREATE TABLE m.beds (room int REFERENCES m.rooms (id), t text)",
        "INSERT INTO m.beds VALUES (1, 'x')",
    )
