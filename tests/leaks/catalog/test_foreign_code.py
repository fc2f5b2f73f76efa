"""Whose functions planning may run: seen on the server, and told from how expressions are stored."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.catalog.foreign_code import strange_plans
from tests.leaks.catalog.traps import Traps, trapped
from tests.servers.sessions import Database, MakeRole

# Indexes of a table, and whether a superuser who plans a statement on it runs the owner's code.
INDEXES = {
    "a column": ("(m.planned(t))", False),
    "a column of another string type": ("(m.planned(v))", False),
    "what the server's functions make of a column": ("(m.planned(lower(t) || 'x'))", False),
    "an operator": ("((t OPERATOR(m.===) 'x'))", False),
    "a condition": ("(t) WHERE m.planned(t) = 'x'", False),
    "SQL that isn't put in place": ("(m.kept(t))", False),
    "a constant": ("(m.planned('x'))", True),
    "a constant in a condition": ("(t) WHERE m.planned('x') = 'x'", True),
    "constants of an operator": ("(('x' OPERATOR(m.===) 'y'))", True),
    "a column and a constant": ("((m.planned(t) || m.planned('x')))", True),
    "a column that is dropped": ("(m.planned(coalesce('x', t)))", True),
    "a column in the other case": ("(m.planned(CASE WHEN true THEN 'x' ELSE t END))", True),
    "NULL of a strict function": ("(m.planned(substr(t, NULL::int)))", True),
    "a default": ("(m.defaulted(t))", True),
    "SQL put in place": ("(m.inlined(t))", True),
    "SQL that drops the column": ("(m.planned(m.dropping(t)))", True),
}


@pytest.fixture
def traps(server: EmbeddedServer, database: Database, make_role: MakeRole) -> Iterator[Traps]:
    with trapped(server, database, make_role) as made:
        made.lay("plan", "planned", "text", "text", "$1")
        made.lay("plan", "both", "text, text", "bool", "true")
        made.lay("default", "defaulted", "text, text DEFAULT m.planned('x')", "text", "$1")
        made.run(
            "CREATE OPERATOR m.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = m.both)",
            sql_function("inlined", "$1 || m.planned('x')"),
            sql_function("dropping", "'x'::text"),
            sql_function("kept", "$1 || m.planned('x')", "SET search_path = pg_catalog"),
        )
        yield made


def sql_function(name: str, body: str, settings: str = "") -> str:
    made = f"CREATE FUNCTION m.{name}(text) RETURNS text IMMUTABLE LANGUAGE sql {settings}"
    return f"{made} AS $$ SELECT {body} $$"


def told(traps: Traps) -> set[int]:
    with psycopg.connect(traps.database.dsn, autocommit=True) as superuser:
        return set(strange_plans(superuser))


def oid(traps: Traps, table: str) -> int:
    row = traps.owner.execute("SELECT %s::regclass::oid::bigint", [f"m.{table}"]).fetchone()
    assert row is not None
    return int(row[0])


def test_indexes(traps: Traps) -> None:
    for number, (index, _) in enumerate(INDEXES.values()):
        traps.run(f"CREATE TABLE m.t{number} (t text, v varchar)", f"CREATE INDEX ON m.t{number} {index}")
    runs = {what: traps.springs(f"SELECT FROM m.t{number}") != set() for number, what in enumerate(INDEXES)}
    assert runs == {what: expected for what, (_, expected) in INDEXES.items()}

    found = told(traps)
    assert {what: oid(traps, f"t{number}") in found for number, what in enumerate(INDEXES)} == runs


@pytest.mark.parametrize(
    ("expression", "expected"), [("m.planned(t)", False), ("(m.planned(t) || m.planned('x'))", True)]
)
def test_partition_keys_and_statistics(traps: Traps, expression: str, expected: bool) -> None:
    traps.run(
        f"CREATE TABLE m.parts (t text) PARTITION BY LIST (({expression}))",
        "CREATE TABLE m.part PARTITION OF m.parts DEFAULT",
        "CREATE TABLE m.above (t text) PARTITION BY LIST (t)",
        "CREATE TABLE m.below PARTITION OF m.above DEFAULT",
        f"CREATE INDEX ON m.below (({expression}))",
    )
    tables = ["parts", "above", "below"]
    if traps.owner.info.server_version >= 140000:
        traps.run(
            "CREATE TABLE m.counted (t text)",
            f"CREATE STATISTICS m.s ON ({expression}), t FROM m.counted",
        )
        tables.append("counted")
    assert {table: traps.springs(f"SELECT FROM m.{table}") != set() for table in tables} == dict.fromkeys(
        tables, expected
    )
    found = told(traps)
    assert {table: oid(traps, table) in found for table in tables} == dict.fromkeys(tables, expected)
