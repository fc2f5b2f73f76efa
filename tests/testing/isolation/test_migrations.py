"""Migrations of each kind: what they do, what their hash tells, and how they fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow
from sqlalchemy import DDL, Column, Computed, Integer, MetaData, Table, create_engine, event
from sqlalchemy.schema import ExecutableDDLElement

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.testing import (
    MigrationError,
    alembic_migrations,
    as_migrations,
    function_migrations,
    isolated_database,
    isolated_schema,
    sql_migrations,
)
from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
from pgwatch_tests.testing.isolation.migrations import MigrationsLike
from pgwatch_tests.testing.isolation.typed_statements import statements
from tests.servers.sessions import Database
from tests.testing.isolation.catalogs import described, zoo


def write(folder: Path, **files: str) -> Path:
    """A folder of .sql files."""
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


def tables(place: IsolatedPlace) -> list[str]:
    """The names of the tables in a place."""
    query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND oid >= 16384 AND pg_table_is_visible(oid)"
    with place.connect() as connection:
        return sorted(row[0] for row in connection.execute(query).fetchall())


def make_a(place: IsolatedPlace) -> None:
    """A function that migrates."""
    with place.connect() as connection:
        connection.execute("CREATE TABLE a ()")


@pytest.mark.filterwarnings("ignore:Computed column")
def test_a_metadata_is_made_as_create_all_makes_it(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE SCHEMA by_sqlalchemy")
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: IsolatedPlace.schema(database.dsn, "by_sqlalchemy").connect()
    )
    metadata = zoo()
    # It depends on the server's version what is said of it.
    Table("t", metadata, Column("a", Integer), Column("b", Integer, Computed("a + 1")))
    metadata.create_all(engine)
    engine.dispose()
    expected = described(owner, "by_sqlalchemy")

    with isolated_schema(database.dsn, metadata) as place:
        assert described(owner, place.name) == expected
    assert len(expected) > 40


def test_listeners_of_a_metadata_are_heard(database: Database) -> None:
    metadata = MetaData()
    table = Table("a", metadata, Column("id", Integer, primary_key=True))
    ddl: Callable[[str], ExecutableDDLElement] = DDL
    event.listen(table, "after_create", ddl("CREATE TABLE %(table)s_of_ddl ()"))
    compiled = as_migrations(metadata)
    with isolated_schema(database.dsn, compiled) as place:
        assert tables(place) == ["a", "a_of_ddl"]

    def listener(*_: object, **__: object) -> None:
        heard.append("a")

    heard: list[str] = []
    event.listen(table, "after_create", listener)
    run = as_migrations(metadata)
    with isolated_schema(database.dsn, run) as place:
        assert tables(place) == ["a", "a_of_ddl"]
    assert heard == ["a"]
    assert run.hash != compiled.hash


def test_tables_with_a_schema_need_a_database(database: Database) -> None:
    metadata = MetaData()
    Table("a", metadata, schema="audit")
    with pytest.raises(ConfigurationError, match=r"audit\.a names its schema.*use isolated_database"):
        isolated_schema(database.dsn, metadata).__enter__()


def test_files_of_a_folder_go_by_name(database: Database, tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        b="INSERT INTO t VALUES ('100 % ü', ';'); -- no end",
        a="\ufeffCREATE TABLE t (x text, y text)",
    )
    likes: list[MigrationsLike] = [folder, str(folder), [folder / "a.sql", str(folder / "b.sql")]]
    for like in likes:
        with isolated_schema(database.dsn, like) as place, place.connect() as connection:
            assert connection.execute("SELECT * FROM t").fetchall() == [("100 % ü", ";")]


def test_an_error_names_the_file_and_line(database: Database, tmp_path: Path) -> None:
    folder = write(tmp_path, a="CREATE TABLE t ()", b="-- ü\n\nCREATE TABLE u (x nonsense)")
    with pytest.raises(MigrationError, match=r"^b\.sql, line 3: type \"nonsense\" does not exist$"):
        isolated_schema(database.dsn, folder).__enter__()
    folder = write(tmp_path, b="CREATE INDEX CONCURRENTLY ON t ((1));\nCREATE TABLE u (x nonsense)")
    with pytest.raises(MigrationError, match=r"^b\.sql, line 2: type"):
        isolated_schema(database.dsn, folder).__enter__()


def test_what_refuses_a_transaction_is_sent_by_itself(database: Database, tmp_path: Path) -> None:
    text = (
        "CREATE TABLE t (x text);CREATE INDEX CONCURRENTLY i ON t (x);"
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT ';' $$;"
    )
    with isolated_schema(database.dsn, write(tmp_path, a=text)) as place, place.connect() as connection:
        assert connection.execute(
            "SELECT f(), indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass"
        ).fetchone()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a;b", ["a", "b"]),
        (" ;; a ; -- b;\n", ["a"]),
        ("select ';' ; /* ; */ b", ["select ';'", "b"]),
        (
            "create function f() begin atomic select 1; select case when x then 1 end; end; b",
            ["create function f() begin atomic select 1; select case when x then 1 end; end", "b"],
        ),
        ("begin; a; end; b", ["begin", "a", "end", "b"]),
    ],
)
def test_a_text_is_taken_apart_at_its_semicolons(text: str, parts: list[str]) -> None:
    found = list(statements(text))
    assert [statement.strip() for _, statement in found] == parts
    assert all(text[start:].startswith(statement) for start, statement in found)


def test_commands_of_psql_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, a="SELECT '\n\\d';\n\\connect x\n")
    with pytest.raises(ConfigurationError, match=r"a\.sql, line 3: commands of psql aren't SQL"):
        sql_migrations(folder)
    write(tmp_path, a="SELECT '\n\\d';\n")
    sql_migrations(folder)


def test_what_goes_to_another_schema_is_told(
    database: Database, owner: Connection[TupleRow], tmp_path: Path
) -> None:
    folder = write(tmp_path, a="CREATE TABLE public.users (id int); CREATE TEMP TABLE tmp ()")
    with pytest.raises(MigrationError, match=r"make public\.users, outside of the test's schema"):
        isolated_schema(database.dsn, folder).__enter__()
    assert owner.execute("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'test%'").fetchall() == []


def test_hashes_tell_what_they_do(tmp_path: Path) -> None:
    folder = write(tmp_path, a="SELECT 1")
    values: list[MigrationsLike] = [None, zoo(), folder, [folder, zoo()], [zoo(), folder], make_a]
    hashes = [as_migrations(value).hash for value in values]
    assert len(set(hashes)) == len(hashes)
    assert as_migrations(zoo()).hash == hashes[1]
    assert as_migrations(tmp_path / "a.sql").hash == hashes[2]
    write(tmp_path, a="SELECT 2")
    assert as_migrations(folder).hash != hashes[2]
    assert function_migrations(make_a, "1").hash != function_migrations(make_a, "2").hash


def test_what_isnt_migrations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no \.sql files"):
        as_migrations(tmp_path)
    with pytest.raises(ConfigurationError, match="can't be read"):
        as_migrations(tmp_path / "none.sql")
    with pytest.raises(ConfigurationError, match="not int"):
        as_migrations(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"there is no '.*none\.ini'"):
        as_migrations(tmp_path / "none.ini")
    made: dict[str, object] = {"__name__": "nowhere"}
    exec("def f(place): pass", made)
    function = made["f"]
    assert callable(function)
    with pytest.raises(ConfigurationError, match=r"source of nowhere\.f can't be read"):
        assert as_migrations(function).hash
    assert function_migrations(function, "1").hash


def test_several_go_one_after_the_other(database: Database, tmp_path: Path) -> None:
    folder = write(tmp_path, a="CREATE TABLE b (LIKE a)")
    with isolated_schema(database.dsn, [make_a, folder]) as place:
        assert tables(place) == ["a", "b"]


REVISION = """
revision = "1"
down_revision = None
import sqlalchemy as sa
from alembic import op
def upgrade():
    op.create_table("users", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("INSERT INTO users VALUES (1)")
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY i ON users (id)")
"""
ENV = """
import logging.config, asyncio
from alembic import context
config = context.config
logging.config.fileConfig(config.config_file_name)
def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
SYNC = """
from sqlalchemy import engine_from_config, pool
section = config.get_section(config.config_ini_section)
with engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool).connect() as connection:
    run(connection)
"""
ASYNC = """
from sqlalchemy.ext.asyncio import async_engine_from_config
from sqlalchemy import pool
async def main():
    section = config.get_section(config.config_ini_section)
    engine = async_engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
asyncio.run(main())
"""
GIVEN = "run(config.attributes['connection'])"
INI = """
[alembic]
script_location = %(here)s/alembic
sqlalchemy.url = postgresql+{driver}://nobody@nowhere/app
[loggers]
keys = root
[handlers]
keys =
[formatters]
keys =
[logger_root]
level = WARN
handlers =
"""


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """An alembic.ini with one revision, whose env.py is still to be written."""
    versions = tmp_path / "alembic" / "versions"
    versions.mkdir(parents=True)
    (versions / "one.py").write_text(REVISION)
    return tmp_path / "alembic.ini"


@pytest.mark.parametrize(
    ("env", "driver"),
    [(SYNC, "psycopg"), (SYNC, "psycopg2"), (ASYNC, "psycopg"), (ASYNC, "asyncpg"), (GIVEN, "psycopg")],
)
@pytest.mark.parametrize("in_schema", [True, False])
def test_alembic_migrates_the_place(
    env: str, driver: str, in_schema: bool, database: Database, ini: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ini.write_text(INI.format(driver=driver))
    (ini.parent / "alembic" / "env.py").write_text(ENV + env)
    make = isolated_schema if in_schema else isolated_database
    with make(database.dsn, ini) as place, place.connect() as connection:
        assert tables(place) == ["alembic_version", "users"]
        assert connection.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass"
        ).fetchall()
    import logging

    logging.getLogger("pgwatch_tests.isolation").warning("still heard")
    assert "still heard" in caplog.text


def test_alembic_is_kept_from_other_databases(
    database: Database, owner: Connection[TupleRow], ini: Path
) -> None:
    ini.write_text(INI.format(driver="psycopg"))
    url = database.dsn.replace("postgresql", "postgresql+psycopg")
    env = ENV + f"config.set_main_option('sqlalchemy.url', {url!r})"
    (ini.parent / "alembic" / "env.py").write_text(env + SYNC)
    told = rf"env\.py connects to the database '{database.name}', not to 'test_\w+'"
    with pytest.raises(MigrationError, match=told):
        isolated_database(database.dsn, ini).__enter__()
    assert owner.execute("SELECT 1 FROM pg_class WHERE relname = 'users'").fetchall() == []


def test_alembics_hash_is_that_of_its_scripts(ini: Path) -> None:
    ini.write_text(INI.format(driver="psycopg"))
    (ini.parent / "alembic" / "env.py").write_text(ENV)
    hashes = [
        as_migrations(ini).hash,
        alembic_migrations(ini, version="2").hash,
        alembic_migrations(ini, "1").hash,
    ]
    (ini.parent / "alembic" / "versions" / "two.py").write_text(
        REVISION.replace('"1"', '"2"').replace("None", '"1"')
    )
    hashes.append(as_migrations(ini).hash)
    assert len(set(hashes)) == 4


def test_names_are_quoted(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier('Od d"s')))
    with isolated_schema(database.dsn, make_a, beside=['Od d"s']) as place, place.connect() as connection:
        path = connection.execute("SELECT current_schemas(false)").fetchone()
        assert path == ([place.name, 'Od d"s'],)
