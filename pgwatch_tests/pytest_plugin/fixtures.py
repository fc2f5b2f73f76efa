"""The fixtures of the plugin, there whether it is on or off. Each imports what it needs when it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pgwatch_tests.testing.factories import BoundFactory
    from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
    from pgwatch_tests.testing.isolation.migrations import MigrationsLike
    from pgwatch_tests.testing.isolation.suite_isolation import SuiteIsolation


@pytest.fixture(scope="session", name="run_id")
def run_id_fixture() -> str:
    """The id of this test run: 8 hex digits, the same in all workers."""
    from pgwatch_tests.testing import run_id

    return run_id()


@pytest.fixture(scope="session")
def pgwatch_run(run_id: str) -> str:
    """The id of this test run, for suites that have a fixture `run_id` of their own."""
    return run_id


@pytest.fixture(name="unique_email")
def unique_email_fixture() -> Callable[..., str]:
    """Returns a new email address: `unique_email(prefix, domain="test.example.com")`."""
    from pgwatch_tests.testing import unique_email

    return unique_email


@pytest.fixture(name="unique_id")
def unique_id_fixture() -> Callable[[str], str]:
    """Returns a new id: `unique_id(prefix)`."""
    from pgwatch_tests.testing import unique_id

    return unique_id


@pytest.fixture(scope="session")
def pgwatch_dsn(pytestconfig: pytest.Config) -> str:
    """The database of the suite, where fixtures make schemas and databases: override it if need be.

    It is that of `--pgwatch-dsn`, else of PGWATCH_DSN, DATABASE_URL or `[tool.pgwatch-tests] dsn`; empty for
    libpq's own variables.
    """
    from pgwatch_tests.errors import ConfigurationError
    from pgwatch_tests.settings.load import Flags, load

    try:
        return load(
            Flags(dsn=pytestconfig.getoption("--pgwatch-dsn")), start=Path(pytestconfig.rootpath)
        ).dsn.value
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture
def unique_factories(pgwatch_dsn: str) -> Iterator[BoundFactory[Any]]:
    """Has each UniqueFactory make its rows in the suite's database; they are removed when the test ends.

    In a session of its own. Needs the extra `factories`. For an AsyncSession: `async with Factory.using(…)`.
    """
    from pgwatch_tests.testing.factories import UniqueFactory
    from pgwatch_tests.testing.factories.engine import own_engine

    factory: type[UniqueFactory[Any]] = UniqueFactory
    with own_engine(pgwatch_dsn) as engine, factory.using(engine) as bound:
        yield bound


@pytest.fixture(scope="session")
def pgwatch_migrations() -> MigrationsLike:
    """The migrations of `isolated_schema` and `isolated_database`: override it (`testing.as_migrations`)."""
    return None


@pytest.fixture(scope="session")
def pgwatch_isolation(pgwatch_dsn: str) -> Iterator[SuiteIsolation]:
    """What the fixtures below share until this worker's session ends."""
    from pgwatch_tests.testing.isolation.suite_isolation import SuiteIsolation

    with SuiteIsolation(pgwatch_dsn) as isolation:
        yield isolation


@pytest.fixture
def isolated_schema(
    pgwatch_isolation: SuiteIsolation, pgwatch_migrations: MigrationsLike
) -> Iterator[IsolatedPlace]:
    """A schema of this test's own, with the migrations in it. `isolated_schema_fixture` has other scopes."""
    with pgwatch_isolation.schema(pgwatch_migrations) as place:
        yield place


@pytest.fixture
def isolated_database(
    pgwatch_isolation: SuiteIsolation, pgwatch_migrations: MigrationsLike
) -> Iterator[IsolatedPlace]:
    """This worker's database, with what the migrations made. Rows that the test adds are deleted after it.

    `isolated_database_fixture("test")` gives each test a database of its own.
    """
    with pgwatch_isolation.database(pgwatch_migrations) as place:
        yield place
