"""Random tables, foreign keys and rows on a real server: what goes is what the oracle says."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.identity.value_tokens import token
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, OnDelete, TableNode
from pgwatch_tests.sweep.plan.rules import MARKED, OTHERS, SWEPT
from pgwatch_tests.sweep.rows import row_pass
from tests.servers.sessions import Database
from tests.sweep.plan.worlds import Spot, World, worlds
from tests.sweep.rows.row_sweeps import OLD_MS, mail, swept
from tests.sweep.zoo.oracle import truth

_ACTIONS: dict[OnDelete, str] = {
    "a": "NO ACTION DEFERRABLE INITIALLY DEFERRED",
    "r": "RESTRICT",
    "c": "CASCADE",
    "n": "SET NULL",
    "d": "SET DEFAULT",
}
ASKED_TEST = "tests/test_asked.py::test_it"


def ddl(world: World) -> Iterable[str]:
    """The tables of a made-up database; the `number` of a row is unique everywhere."""
    graph = world.graph
    for relation in graph.relations.values():
        if not relation.ancestors:
            partitioned = relation.kind == "p"
            yield (
                f"CREATE TABLE {relation.name} (part int, number int, mark text, PRIMARY KEY (part, number))"
                f"{' PARTITION BY LIST (part)' if partitioned else ''}"
            )
        else:
            yield (
                f"CREATE TABLE {relation.name} PARTITION OF {graph.relations[relation.ancestors[0]].name} "
                f"FOR VALUES IN ({', '.join(map(str, parts(world, relation)))})"
                f"{' PARTITION BY LIST (part)' if relation.kind == 'p' else ''}"
            )


def parts(world: World, relation: TableNode) -> list[int]:
    """What `part` is in the rows below a table: the leaf that they are in."""
    return list(world.graph.leaves(relation.oid))


def columns(key: ForeignKey) -> str:
    """Of the child."""
    return f"part_{key.oid}, number_{key.oid}"


def keys_ddl(world: World) -> Iterable[str]:
    """The foreign keys, each with columns of its own in all of the child's tree."""
    for key in world.graph.keys:
        top = world.graph.relations[world.graph.relations[key.child].top].name
        yield f"ALTER TABLE {top} ADD part_{key.oid} int, ADD number_{key.oid} int"
        yield (
            f"ALTER TABLE {world.graph.relations[key.child].name} ADD FOREIGN KEY ({columns(key)}) "
            f"REFERENCES {world.graph.relations[key.parent].name} ON DELETE {_ACTIONS[key.on_delete]}"
        )


def number(spot: Spot) -> int:
    """The row's, of those in its leaf."""
    return spot[1]


def fill(connection: Connection[TupleRow], world: World, marks: dict[int, str]) -> None:
    """The rows: first all of them, then what they refer to."""
    names = {oid: relation.name for oid, relation in world.graph.relations.items()}
    for spot, row in world.rows.items():
        mark = marks[row.flags & (MARKED | SWEPT | OTHERS)]
        table = sql.Identifier(names[spot[0]])
        connection.execute(
            sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(table), [spot[0], number(spot), mark]
        )
    for spot, row in world.rows.items():
        for oid, above in row.refers.items():
            connection.execute(
                f"UPDATE {names[spot[0]]} SET part_{oid} = {above[0]}, number_{oid} = {number(above)} "  # noqa: S608
                f"WHERE number = {number(spot)}".encode()
            )


def spots(connection: Connection[TupleRow], world: World) -> set[Spot]:
    """The rows that are there."""
    found: set[Spot] = set()
    for relation in world.graph.relations.values():
        if relation.kind != "p":
            rows = connection.execute(f"SELECT part, number FROM {relation.name}".encode())  # noqa: S608
            found.update(rows)
    return found


def dangling(connection: Connection[TupleRow], world: World) -> int:
    """How many references there are to rows that aren't."""
    found = 0
    for key in world.graph.keys:
        child, parent = (world.graph.relations[oid].name for oid in (key.child, key.parent))
        statement = (
            f"SELECT count(*) FROM {child} AS c LEFT JOIN {parent} AS p ON p.part = c.part_{key.oid} "  # noqa: S608
            f"AND p.number = c.number_{key.oid} WHERE c.part_{key.oid} IS NOT NULL AND p.part IS NULL"
        )
        found += connection.execute(statement.encode()).fetchall()[0][0]
    return found


@settings(max_examples=16, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(worlds(with_obstacles=False), st.sampled_from([None, 1, 3]))
def test_what_goes_is_what_the_rules_say(database: Database, world: World, planned_rows: int | None) -> None:
    """Planned at once, or in parts of one marked row, or of as many as bring three rows along."""
    # The server doesn't let a table refer to a partition of its own.
    assume(all(key.child not in world.graph.relations[key.parent].ancestors for key in world.graph.keys))
    known = truth(world)
    marks = {
        0: "real",
        MARKED: mail("unknown"),
        MARKED | OTHERS: f"a_{OLD_MS}_{token('another')}",
        MARKED | SWEPT: f"a_{OLD_MS}_{token(ASKED_TEST)}",
    }
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        with connection.transaction():
            for statement in (*ddl(world), *keys_ddl(world)):
                connection.execute(statement.encode())
            fill(connection, world, marks)

        with pytest.MonkeyPatch.context() as patch:
            if planned_rows is not None:
                limits = {
                    "PLANNED_AT_ONCE": 1,
                    "FIRST_PART": 1,
                    "LEAST_PART": 1,
                    "ROWS_OF_A_PART": planned_rows,
                }
                for name, limit in limits.items():
                    patch.setattr(row_pass, f"_{name}", limit)
            dry = swept(database.dsn, dry_run=True, test=ASKED_TEST)
            report = swept(database.dsn, test=ASKED_TEST)

        assert dry.planned == report.planned == report.deleted
        gone = world.rows.keys() - spots(connection, world)
        assert gone <= known.going
        assert report.deleted_rows == len(gone)
        # Some may stay as the last marked rows beside real ones.
        assert (gone == known.going) == ("last marked row" not in str(report.kept))
        assert dangling(connection, world) == 0
        assert swept(database.dsn, test=ASKED_TEST).deleted == ()
        assert world.rows.keys() - spots(connection, world) == gone
