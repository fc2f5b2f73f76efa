"""The fixtures of schemas and databases of a test's own. Each imports what it needs when it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
    from pgwatch_tests.testing.isolation.migrations import MigrationsLike
    from pgwatch_tests.testing.isolation.suite_isolation import SuiteIsolation


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
