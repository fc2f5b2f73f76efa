"""The layout of the history's tables: its version, its creation, and migrations of older ones in place.

Whoever comes first creates or migrates the tables, in one transaction under a lock; others wait for it.
Killed in the middle, it leaves the older layout whole. With the layout in place nothing is locked or changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateColumn, CreateSchema

from pgwatch_tests.errors import HistoryError
from pgwatch_tests.history.column_types import LARGEST_INTEGER
from pgwatch_tests.history.tables import METADATA, RUN_PAIRS, SWEEPS

VERSION = 4
"""1: sweeps. 2: runs and checks of fleets beside them. 3: a PostgreSQL's columns take four bytes. 4: the part
that a sweep was of."""
SCHEMA = "pgwatch_tests"
"""The schema of our tables in a PostgreSQL. No scan reads it and no sweep touches it."""
WRITES = "pgwatch_tests_writes"
"""The execution option of connections that write: SQLite is told so at the beginning of a transaction."""

_CREATION_KEY = 0x70677768_6973746F  # 'pgwhisto': the advisory lock of who creates or migrates the tables
# One row: the version of the layout that the tables have.
_LAYOUT = Table("layout", MetaData(), Column("version", Integer, nullable=False))


def prepare(engine: Engine, place: str) -> None:
    """Has the tables be there in the present layout. Raises HistoryError if they are of a newer one.

    `place` is the store's name in messages.
    """
    with engine.connect() as connection:
        found = _version(connection)
    if found == VERSION:
        return
    _check(found, place)
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        if is_postgresql(connection):
            # The lock goes with the transaction; SQLite's has it already.
            connection.exec_driver_sql("SELECT pg_catalog.pg_advisory_xact_lock(%s)", (_CREATION_KEY,))
        found = _version(connection)  # somebody else may have been faster
        _check(found, place)
        try:
            _create(connection) if found is None else _migrate(connection, found)
        except DBAPIError as error:
            if found is None:
                raise
            why = " ".join(str(error.orig).split())
            raise HistoryError(
                f"the history in {place} has the older layout {found} and can't be brought to layout "
                f"{VERSION}: {why}; have the owner of its tables run pgwatch-tests history once"
            ) from None
    if found is not None and found < VERSION:
        _vacuum(engine)


def is_postgresql(connection: Connection) -> bool:
    """Whether it is a PostgreSQL, rather than SQLite."""
    return connection.dialect.name == "postgresql"


def may_delete(connection: Connection, table: Table) -> bool:
    """Whether this role may delete rows of that table: who runs a suite may have INSERT and SELECT only."""
    if not is_postgresql(connection):
        return True
    name = f"{SCHEMA}.{table.name}"
    return bool(connection.execute(select(func.pg_catalog.has_table_privilege(name, "DELETE"))).scalar())


def _version(connection: Connection) -> int | None:
    """The layout's version; None if there are no tables yet."""
    schema = SCHEMA if is_postgresql(connection) else None
    if not inspect(connection).has_table(_LAYOUT.name, schema=schema):
        return None
    return connection.execute(select(_LAYOUT.c.version)).scalars().first()


def _check(found: int | None, place: str) -> None:
    if found is not None and found > VERSION:
        raise HistoryError(
            f"the history in {place} has the layout {found}, and this version of pgwatch-tests "
            f"needs layout {VERSION}: use another version, or set history to another place"
        )


def _create(connection: Connection) -> None:
    if is_postgresql(connection) and not inspect(connection).has_schema(SCHEMA):
        connection.execute(CreateSchema(SCHEMA))
    _LAYOUT.metadata.create_all(connection)
    METADATA.create_all(connection)
    connection.execute(insert(_LAYOUT).values(version=VERSION))


def _migrate(connection: Connection, found: int) -> None:
    if is_postgresql(connection):
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # large tables are written anew
    for version in range(found, VERSION):
        _MIGRATIONS[version](connection)
    connection.execute(update(_LAYOUT).values(version=VERSION))


def _add_runs(connection: Connection) -> None:
    """From 1 to 2: tables of runs; and a role needs no GRANT on a sequence to record a sweep."""
    METADATA.create_all(connection)
    if not is_postgresql(connection):
        return
    table = f"{SCHEMA}.{SWEEPS.name}"
    sequence = func.pg_catalog.pg_get_serial_sequence(table, "id")
    name, following = connection.execute(select(sequence, func.pg_catalog.nextval(sequence))).one()
    connection.exec_driver_sql(f"ALTER TABLE {table} ALTER COLUMN id DROP DEFAULT")
    connection.exec_driver_sql(f"DROP SEQUENCE {name}")
    connection.exec_driver_sql(
        f"ALTER TABLE {table} ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (START WITH {following:d})"
    )


def _narrow(connection: Connection) -> None:
    """From 2 to 3: four bytes for numbers that refer to rows, and vacuums that keep up with new runs."""
    if not is_postgresql(connection):
        return  # SQLite packs small numbers by itself
    inspector = inspect(connection)
    for table in METADATA.sorted_tables:
        present = {one["name"]: one["type"] for one in inspector.get_columns(table.name, schema=SCHEMA)}
        wide = [
            one.name
            for one in table.columns
            if isinstance(present.get(one.name), BigInteger)
            and one.type.compile(dialect=connection.dialect) == "INTEGER"
        ]
        changes = [
            f'ALTER COLUMN "{name}" TYPE integer USING least("{name}", {LARGEST_INTEGER})::integer'
            for name in wide
        ]
        options = table.dialect_options["postgresql"]["with"] or {}
        if options:
            changes.append(f"SET ({', '.join(f'{name} = {value}' for name, value in options.items())})")
        if changes:
            connection.exec_driver_sql(f"ALTER TABLE {SCHEMA}.{table.name} {', '.join(changes)}")
    [by_waiter] = [index for index in RUN_PAIRS.indexes if index.name == "run_pairs_waiter"]
    by_waiter.drop(connection)
    by_waiter.create(connection)


def _add_part(connection: Connection) -> None:
    """From 3 to 4: which part a sweep was of."""
    column = CreateColumn(SWEEPS.c.part).compile(dialect=connection.dialect)
    table = f"{SCHEMA}.{SWEEPS.name}" if is_postgresql(connection) else SWEEPS.name
    connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column}")


def _vacuum(engine: Engine) -> None:
    """Has trends read indexes alone again, after a migration that has written tables anew."""
    with suppress(DBAPIError), engine.connect() as connection:
        if is_postgresql(connection):
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            alone.exec_driver_sql("SET statement_timeout = 0")
            for table in METADATA.sorted_tables:
                alone.exec_driver_sql(f"VACUUM (ANALYZE) {SCHEMA}.{table.name}")


# By the version that each begins with.
_MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {1: _add_runs, 2: _narrow, 3: _add_part}
