"""Isolation for a suite: what its fixtures share until the session ends, and fixtures of other scopes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any, Literal

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.testing.isolation.databases.isolated_database import (
    DatabaseScope,
    isolated_database,
    prepared_databases,
)
from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
from pgwatch_tests.testing.isolation.isolated_schema import isolated_schema
from pgwatch_tests.testing.isolation.migrations import Migrations, MigrationsLike, as_migrations
from pgwatch_tests.testing.isolation.own_sessions import own_sessions

SchemaScope = Literal["test", "module", "session", "worker"]
_AHEAD = 2

_SCOPES: dict[SchemaScope, Literal["function", "module", "session"]] = {
    "test": "function",
    "module": "module",
    "session": "session",
    # A session of pytest-xdist is a worker's.
    "worker": "session",
}


class SuiteIsolation:
    """Schemas and databases of a worker's tests: sessions, worker databases and copies stay until the end."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._held = ExitStack()
        self._prepared: set[tuple[object, ...]] = set()
        self._known: dict[int, tuple[MigrationsLike, Migrations]] = {}
        """Migrations as they were when a fixture first had them, by the value's identity."""

    def __enter__(self) -> SuiteIsolation:
        """Begins; connects to nothing yet."""
        self._held.enter_context(own_sessions(self._dsn))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drops what is there."""
        self._held.close()

    def schema(
        self, migrations: MigrationsLike, beside: Iterable[str] = ()
    ) -> AbstractContextManager[IsolatedPlace]:
        """See `isolated_schema`."""
        return isolated_schema(self._dsn, self._once(migrations), beside=beside)

    def database(
        self, template: MigrationsLike, scope: DatabaseScope = "worker", ahead: int = _AHEAD, **options: Any
    ) -> AbstractContextManager[IsolatedPlace]:
        """See `isolated_database`; for tests, so many copies are made ahead."""
        wanted = self._once(template)
        ahead = ahead if scope == "test" else 0
        key = (wanted.hash, ahead, *sorted(options.items()))
        if key not in self._prepared:
            self._held.enter_context(prepared_databases(self._dsn, wanted, ahead=ahead, **options))
            self._prepared.add(key)
        return isolated_database(self._dsn, wanted, scope=scope, **options)

    def _once(self, value: MigrationsLike) -> Migrations:
        if id(value) not in self._known:
            self._known[id(value)] = value, as_migrations(value)
        return self._known[id(value)][1]


def isolated_schema_fixture(
    scope: SchemaScope = "test",
    migrations: MigrationsLike = None,
    *,
    beside: Iterable[str] = (),
    name: str | None = None,
) -> Any:
    """Returns a fixture like `isolated_schema`, of another scope, or with other migrations.

        users_schema = isolated_schema_fixture("module", Base.metadata)

    Without migrations, those of `pgwatch_migrations`. `name` is the fixture's, if not that of the variable.
    Raises ConfigurationError for another scope.
    """
    if scope not in _SCOPES:
        raise ConfigurationError(f"the scope of a schema is one of {', '.join(_SCOPES)}, not {scope!r}")
    others = tuple(beside)

    @pytest.fixture(scope=_SCOPES[scope], name=name)
    def schema(
        pgwatch_isolation: SuiteIsolation, pgwatch_migrations: MigrationsLike
    ) -> Iterator[IsolatedPlace]:
        wanted = pgwatch_migrations if migrations is None else migrations
        with pgwatch_isolation.schema(wanted, others) as place:
            yield place

    return schema


def isolated_database_fixture(
    scope: DatabaseScope = "worker",
    template: MigrationsLike = None,
    *,
    ahead: int = _AHEAD,
    tablespace: str = "",
    restart_sequences: bool = False,
    name: str | None = None,
) -> Any:
    """Returns a fixture like `isolated_database`: with scope "test", each test has a copy of its own.

    Without a template, that of `pgwatch_migrations`. `ahead`: how many copies are ready for the tests to
    come. Raises ConfigurationError for another scope.
    """
    if scope not in ("worker", "test"):
        raise ConfigurationError(f"the scope of a database is worker or test, not {scope!r}")

    @pytest.fixture(name=name)
    def database(
        pgwatch_isolation: SuiteIsolation, pgwatch_migrations: MigrationsLike
    ) -> Iterator[IsolatedPlace]:
        wanted = pgwatch_migrations if template is None else template
        options = {"tablespace": tablespace, "restart_sequences": restart_sequences}
        with pgwatch_isolation.database(wanted, scope, ahead, **options) as place:
            yield place

    return database
