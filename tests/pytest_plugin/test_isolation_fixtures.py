"""The fixtures of schemas and databases, in a suite of their own, in any order, on several workers."""

from __future__ import annotations

import json
import re

import psycopg
import pytest

from pgwatch_tests.testing import drop_templates
from tests.servers.sessions import Database
from tests.sweep.orphans.sweeping import swept

pytest_plugins = ["pytester"]

CONFTEST = """
import json, os, pathlib
import pytest
from sqlalchemy import Column, Integer, MetaData, Table
from pgwatch_tests.testing import isolated_database_fixture, isolated_schema_fixture

metadata = MetaData()
Table("users", metadata, Column("id", Integer, primary_key=True))

@pytest.fixture(scope="session")
def pgwatch_migrations():
    return metadata

own_database = isolated_database_fixture("test", ahead=1)
module_schema = isolated_schema_fixture("module")
worker_schema = isolated_schema_fixture("worker")
empty_schema = isolated_schema_fixture("test", lambda place: None)

@pytest.fixture
def note():
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    def write(kind, place):
        with pathlib.Path(os.environ["NOTES"]).open("a") as file:
            file.write(json.dumps([kind, worker, place.name]) + "\\n")
    return write
"""
TESTS = """
import pytest

def insert(place):
    with place.connect(autocommit=True) as connection:
        connection.execute("INSERT INTO users DEFAULT VALUES")
        return connection.execute("SELECT count(*) FROM users").fetchone()[0]

@pytest.mark.parametrize("number", range(3))
def test_database(number, isolated_database, note):
    assert insert(isolated_database) == 1
    note("worker", isolated_database)

@pytest.mark.parametrize("number", range(2))
def test_own(number, own_database, isolated_schema, isolated_database, note):
    assert insert(own_database) == insert(isolated_schema) == insert(isolated_database) == 1
    note("own", own_database)
    note("schema", isolated_schema)
    note("worker", isolated_database)

@pytest.mark.parametrize("number", range(2))
def test_wider(number, module_schema, worker_schema, empty_schema, note):
    insert(module_schema), insert(worker_schema)
    note(f"module {__name__}", module_schema)
    note("worker schema", worker_schema)
    with empty_schema.connect() as connection:
        assert connection.execute("SELECT to_regclass('users')").fetchone() == (None,)

@pytest.mark.asyncio
async def test_asynchronous(isolated_database):
    from sqlalchemy import text
    async with isolated_database.async_engine("asyncpg").begin() as connection:
        await connection.execute(text("INSERT INTO users DEFAULT VALUES"))
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, database: Database) -> pytest.Pytester:
    """The suite, on the database of the test."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_one=TESTS, test_two=TESTS)
    pytester._monkeypatch.setenv("PGWATCH_DSN", database.dsn)
    pytester._monkeypatch.setenv("NOTES", str(pytester.path / "notes"))
    return pytester


def leftovers(dsn: str) -> list[str]:
    """The schemas and databases of tests."""
    query = (
        "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'test%' UNION ALL"
        " SELECT datname FROM pg_database WHERE datname LIKE 'test%' AND datname <> current_database()"
    )
    with psycopg.connect(dsn) as connection:
        return [name for (name,) in connection.execute(query).fetchall()]


@pytest.mark.parametrize(
    "options",
    [
        ("-p", "no:xdist", "--pgwatch=fail"),
        ("-n2", "--dist=each", "-p", "randomly"),
    ],
)
def test_each_worker_and_test_has_its_own(
    options: tuple[str, ...], suite: pytest.Pytester, database: Database
) -> None:
    done = suite.runpytest_subprocess(*options)
    times = 2 if "--dist=each" in options else 1
    done.assert_outcomes(passed=16 * times)
    notes = [json.loads(line) for line in (suite.path / "notes").read_text().splitlines()]
    places: dict[tuple[str, str], list[str]] = {}
    for kind, worker, name in notes:
        places.setdefault((kind, worker), []).append(name)
    for (kind, _), names in places.items():
        assert len(set(names)) == (len(names) if kind in ("own", "schema") else 1), kind
    assert len({name for names in places.values() for name in names}) == sum(
        len(set(names)) for names in places.values()
    ), "nothing is shared"
    assert leftovers(database.dsn) == []
    drop_templates(database.dsn, 0)


FAILING = """
import pytest

@pytest.fixture
def users(isolated_database):
    with isolated_database.connect(autocommit=True) as connection:
        connection.execute("INSERT INTO users VALUES (7)")

def test_fails(users, own_database, module_schema):
    assert False

def test_passes(isolated_database):
    with isolated_database.connect() as connection:
        assert connection.execute("SELECT * FROM users").fetchall() == []

@pytest.mark.xfail
def test_is_known_to_fail(isolated_schema):
    assert False
"""


def test_what_a_failed_test_had_is_kept_on_demand(suite: pytest.Pytester, database: Database) -> None:
    suite.makepyfile(test_one=FAILING, test_two="")
    dsn = database.dsn.replace("postgres@", "postgres:secret@")
    suite._monkeypatch.setenv("PGWATCH_DSN", dsn)
    done = suite.runpytest_subprocess("-n1", "--pgwatch-keep", "-p", "no:randomly")
    done.assert_outcomes(failed=1, passed=1, xfailed=1)
    told = dict(re.findall(r"^(\w+), kept until \S+Z: (\S+)$", done.stdout.str(), re.MULTILINE))
    assert set(told) == {"isolated_database", "own_database", "module_schema"}
    assert "secret" not in done.stdout.str()
    assert len(leftovers(database.dsn)) == 3
    with psycopg.connect(told["isolated_database"]) as connection:
        assert connection.execute("SELECT id FROM users").fetchall() == [(7,)]
    with psycopg.connect(told["module_schema"]) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchall() == [(0,)]
    swept(database.dsn, "schemas", "databases", min_age_s=0)
    assert len(leftovers(database.dsn)) == 3
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for name in leftovers(database.dsn):
            kind = "SCHEMA" if name in told["module_schema"].partition("?")[2] else "DATABASE"
            connection.execute(f"COMMENT ON {kind} {name} IS NULL".encode())
    swept(database.dsn, "schemas", "databases", min_age_s=0)
    assert leftovers(database.dsn) == []
    drop_templates(database.dsn, 0)


def test_only_pytest_is_imported_until_they_are_used(python: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            heavy = ("psycopg", "sqlalchemy", "pgwatch_tests.testing.isolation")
            assert [name for name in heavy if name in sys.modules] == []
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=1)


def test_a_wrong_scope_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from pgwatch_tests.testing import *\nschema = isolated_schema_fixture('class')")
    pytester.makepyfile("def test_it(schema): pass")
    done = pytester.runpytest_subprocess()
    assert "the scope of a schema is one of test, module, session, worker, not 'class'" in done.stderr.str()
