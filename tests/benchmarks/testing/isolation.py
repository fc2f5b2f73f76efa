"""Schemas and databases of a test's own beside bare SQL: `python -m tests.benchmarks.testing.isolation`.

In one process, as a worker of a suite: what fixtures share is there. Ends with 1 if a budget isn't met.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow
from sqlalchemy import (
    Column,
    Engine,
    Enum,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    create_engine,
    text,
)

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.testing import isolated_database, isolated_schema, metadata_migrations, prepared_databases
from pgwatch_tests.testing.isolation.databases.emptied_tables import EmptiedTables
from pgwatch_tests.testing.isolation.databases.template_database import template_database
from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
from pgwatch_tests.testing.isolation.metadata_ddl import MetadataDdl, _dialect_of
from pgwatch_tests.testing.isolation.own_sessions import own_sessions
from tests.benchmarks.measure import Samples, interleave, table, timed, verdict
from tests.servers.server_places import server_directory

_SCHEMA, _FROM_POOL_MS, _DATABASE = 1.3, 15.0, 1.3


def metadata_of(tables: int) -> MetaData:
    """So many tables, each with two indexes, and a foreign key to the one before."""
    metadata = MetaData()
    for number in range(tables):
        Table(
            f"t{number}",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("name", String(30), index=True),
            Column("email", String, unique=True),
            Column("kind", Enum("parent", "clerk", name="kind")),
            Column("price", Numeric(8, 2), server_default=text("0")),
            Column("before", ForeignKey(f"t{max(0, number - 1)}.id")),
        )
    return metadata


def schemas(dsn: str, metadata: MetaData, rounds: int) -> bool:
    """Prints what a schema takes; returns whether the budget is met."""
    ddl = metadata_migrations(metadata)
    assert isinstance(ddl, MetadataDdl)
    statements = ddl._statements(_dialect_of(IsolatedPlace.schema(dsn, "public")))
    connection = psycopg.connect(dsn, autocommit=True)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))

    def bare() -> None:
        connection.execute(f"CREATE SCHEMA bare; SET search_path = bare; {statements}".encode())
        connection.execute("DROP SCHEMA bare CASCADE")

    def ours() -> None:
        with isolated_schema(dsn, ddl):
            pass

    with own_sessions(dsn):
        cases = {"bare DDL": bare, "create_all": lambda: by_hand(engine, metadata), "isolated_schema": ours}
        samples = interleave({name: timed(case) for name, case in cases.items()}, rounds)
    connection.close()
    engine.dispose()
    print(table(samples, "ms", "bare DDL"))
    ratio = samples.ratio("isolated_schema", "bare DDL").median
    print(verdict("isolated_schema", ratio, _SCHEMA))
    return ratio <= _SCHEMA


def by_hand(engine: Engine, metadata: MetaData) -> None:
    """What suites do without us."""
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE SCHEMA by_hand; SET search_path = by_hand")
        metadata.create_all(connection)
        connection.commit()
        connection.exec_driver_sql("DROP SCHEMA by_hand CASCADE")
        connection.commit()


def databases(dsn: str, metadata: MetaData, rounds: int) -> bool:
    """Prints what a test's database takes; returns whether the budgets are met."""
    with own_sessions(dsn) as sessions:
        template = template_database(sessions, metadata_migrations(metadata))
        server = psycopg.connect(dsn, autocommit=True)
        strategy = "" if template.strategy == "default" else f" STRATEGY {template.strategy}"

        def bare() -> float:
            took = timed(
                lambda: server.execute(f"CREATE DATABASE bare TEMPLATE {template.name}{strategy}".encode())
            )()
            server.execute("DROP DATABASE bare")
            return took

        samples = interleave(
            {"bare CREATE DATABASE": bare, "without a pool": entering(dsn, metadata)}, rounds
        )
        with prepared_databases(dsn, metadata, ahead=2):
            # The pool has time to fill up: tests take some.
            filled = interleave({"from a filled pool": entering(dsn, metadata, pause_s=1.0)}, rounds)
        server.close()
    print(f"  copied by {template.strategy}")
    print(table(Samples({**samples.figures, **filled.figures}), "ms", "bare CREATE DATABASE"))
    ratio = samples.ratio("without a pool", "bare CREATE DATABASE").median
    from_pool = filled.median("from a filled pool")
    print(verdict("without a pool", ratio, _DATABASE))
    print(verdict("from a filled pool, in ms", from_pool, _FROM_POOL_MS))
    return ratio <= _DATABASE and from_pool <= _FROM_POOL_MS


def entering(dsn: str, metadata: MetaData, pause_s: float = 0.0) -> Callable[[], float]:
    """A case whose figure is how long it takes to have a database."""

    def measure() -> float:
        time.sleep(pause_s)
        resource = isolated_database(dsn, metadata)
        took = timed(resource.__enter__)()
        resource.__exit__(None, None, None)
        return took

    return measure


def emptying(dsn: str, metadata: MetaData, rounds: int) -> None:
    """Prints what emptying a worker's database takes, beside TRUNCATE of all tables."""
    with isolated_database(dsn, metadata) as place, place.connect(autocommit=True) as connection:
        tables = EmptiedTables(place.dsn)
        names = ", ".join(metadata.tables)

        def after(written: int, empty: Callable[[], object]) -> Callable[[], float]:
            def measure() -> float:
                for number in range(written):
                    connection.execute(f"INSERT INTO t{number} DEFAULT VALUES".encode())
                return timed(empty)()

            return measure

        samples = interleave(
            {
                "emptied, nothing written": after(0, tables.empty),
                "emptied, 3 tables written": after(3, tables.empty),
                "DELETE of 3 known tables": after(3, lambda: delete(connection)),
            },
            rounds,
            warm_ups=8,
        )
        # By itself: it has everybody plan anew.
        truncated = interleave(
            {"TRUNCATE of all": after(3, lambda: connection.execute(f"TRUNCATE {names}".encode()))}, rounds
        )
        tables.close()
    print(table(Samples({**samples.figures, **truncated.figures}), "ms", "TRUNCATE of all"))


def delete(connection: Connection[TupleRow]) -> None:
    """What a clean-up by hand does that knows its tables."""
    for number in (2, 1, 0):
        connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(f"t{number}")))


def main() -> int:
    """Runs all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tables", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    metadata = metadata_of(options.tables)
    with EmbeddedServer(find_programs(), server_directory(), {"autovacuum": "off"}) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            print(f"PostgreSQL {connection.info.server_version}, {options.tables} tables\n\nA schema")
        met = schemas(server.dsn(), metadata, options.rounds)
        print("\nA database of a test's own")
        met &= databases(server.dsn(), metadata, options.rounds)
        print("\nA worker's database, emptied")
        emptying(server.dsn(), metadata, options.rounds)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
