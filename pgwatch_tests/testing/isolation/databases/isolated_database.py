"""A database of a worker's or a test's own: a copy of the template that the migrations have made.

    with isolated_database(dsn, Base.metadata) as place, place.connect() as connection:
        connection.execute("SELECT * FROM users")

A worker's stays from test to test: the rows that a test added are deleted after it (see `emptied_tables`). A
test's is dropped; `prepared_databases` has copies made ahead, so that a test waits for none.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import errors

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.sweep.orphans.orphan_names import orphan_name
from pgwatch_tests.testing.isolation.databases.database_pool import (
    DatabasePool,
    drop_all_leased,
    drop_leased,
    give_up,
    make_leased,
)
from pgwatch_tests.testing.isolation.databases.emptied_tables import EmptiedTables, NotEmptiedError
from pgwatch_tests.testing.isolation.databases.template_database import (
    Template,
    clone,
    drop_with_sessions,
    template_database,
)
from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
from pgwatch_tests.testing.isolation.kept_places import note_kept
from pgwatch_tests.testing.isolation.migrations import Migrations, MigrationsLike, as_migrations
from pgwatch_tests.testing.isolation.own_sessions import OwnSessions, own_sessions
from pgwatch_tests.testing.isolation.resource import Resource

DatabaseScope = Literal["test", "worker"]
_log = logging.getLogger("pgwatch_tests.isolation")


def isolated_database(
    dsn: str,
    template: MigrationsLike = None,
    *,
    scope: DatabaseScope = "test",
    tablespace: str = "",
    restart_sequences: bool = False,
) -> Resource[IsolatedPlace]:
    """A database on the server that `dsn` names, copied from a template with these migrations.

    With scope "test" it is dropped in the end, whoever is connected to it. With "worker" it is emptied, and
    the next one of this process that asks gets the same, as long as `prepared_databases` is entered;
    `restart_sequences` also sets sequences to where they were. Where rows of the template have changed, or
    tables, it is made anew under its name, and the log says why.

    For `with` and `async with`. Entering raises MigrationError, and what the migrations raise; RefusedError
    for a pooler, CannotConnectError, ConfigurationError, psycopg.Error.
    """
    wanted = _Wanted(dsn, as_migrations(template), tablespace, restart_sequences)

    @contextmanager
    def made() -> Iterator[IsolatedPlace]:
        with (
            _own_databases(wanted) as databases,
            databases.of_worker() if scope == "worker" else databases.of_test() as place,
        ):
            yield place

    return Resource(made)


def prepared_databases(
    dsn: str,
    template: MigrationsLike = None,
    *,
    ahead: int = 0,
    tablespace: str = "",
    restart_sequences: bool = False,
) -> Resource[None]:
    """Keeps what `isolated_database` with the same arguments works with until the end: a test session's, say.

    A worker's database stays for its next test. So many copies are made ahead, in the background, for scope
    "test". In the end all are dropped. For `with` and `async with`. Raises what `isolated_database` does.
    """
    wanted = _Wanted(dsn, as_migrations(template), tablespace, restart_sequences)

    @contextmanager
    def kept() -> Iterator[None]:
        with _own_databases(wanted) as databases:
            if ahead:
                databases.fill_ahead(ahead)
            yield

    return Resource(kept)


@dataclass(frozen=True)
class _Wanted:
    dsn: str
    migrations: Migrations
    tablespace: str
    restart_sequences: bool

    @property
    def key(self) -> tuple[object, ...]:
        return os.getpid(), self.dsn, self.migrations.hash, self.tablespace, self.restart_sequences


@dataclass(slots=True)
class _WorkerDatabase:
    name: str
    tables: EmptiedTables


class _OwnDatabases:
    """The databases of this process for one template."""

    def __init__(self, sessions: OwnSessions, wanted: _Wanted) -> None:
        self._sessions, self._wanted = sessions, wanted
        self._template: Template | None = None
        self._pool: DatabasePool | None = None
        self._free: list[_WorkerDatabase] = []
        self._undropped: list[str] = []
        """Those that couldn't be dropped when they were done with, since the server couldn't be asked."""
        self._lock = threading.RLock()

    @contextmanager
    def of_test(self) -> Iterator[IsolatedPlace]:
        """A database that is dropped in the end."""
        pool = self._pool
        name = pool.take() if pool is not None else self._make()
        with self._in_use(name, lambda: self._drop(name, pool)) as place:
            yield place

    @contextmanager
    def of_worker(self) -> Iterator[IsolatedPlace]:
        """A database that is emptied in the end."""
        used = self._free_worker_database() or self._new_worker_database()
        with self._in_use(used.name, lambda: self._put_back(used), used.tables.close) as place:
            yield place

    def _free_worker_database(self) -> _WorkerDatabase | None:
        """Returns one that is free, and still ours."""
        while True:
            with self._lock:
                if not self._free:
                    return None
                database = self._free.pop()
            if self._sessions.outside.is_ours(database.name):
                return database
            database.tables.close()
            give_up(self._sessions, database.name)

    def fill_ahead(self, size: int) -> None:
        """Has a thread keep so many ready for tests."""
        with self._lock:
            if self._pool is None:
                # What is wrong with the template, the caller is told.
                self._found_template()
                self._pool = DatabasePool(self._sessions, self._copy, size)

    def close(self) -> None:
        """Drops those that nobody uses."""
        if self._pool is not None:
            # Its thread may need the lock.
            self._pool.close()
        with self._lock:
            for database in self._free:
                database.tables.close()
            drop_all_leased(self._sessions, (*self._undropped, *(database.name for database in self._free)))
            self._free.clear()

    @contextmanager
    def _in_use(
        self, name: str, end: Callable[[], None], keep: Callable[[], None] = lambda: None
    ) -> Iterator[IsolatedPlace]:
        place = IsolatedPlace.database(self._wanted.dsn, name)
        try:
            yield place
        except BaseException:
            with suppress(PgwatchError, psycopg.Error):
                self._end(place, end, keep)
            raise
        self._end(place, end, keep)

    def _end(self, place: IsolatedPlace, end: Callable[[], None], keep: Callable[[], None]) -> None:
        place.dispose()
        is_kept = note_kept(self._sessions.outside.connection(), place, "DATABASE")
        (keep if is_kept else end)()

    def _drop(self, name: str, pool: DatabasePool | None) -> None:
        if pool is not None:
            pool.give_back(name)
            return
        try:
            drop_leased(self._sessions, name)
        except (PgwatchError, psycopg.Error):
            self._undropped.append(name)
            raise

    def _put_back(self, database: _WorkerDatabase) -> None:
        try:
            if not self._sessions.outside.is_ours(database.name):
                give_up(self._sessions, database.name)
                database.tables.close()
                return
            try:
                database.tables.empty()
            except (NotEmptiedError, psycopg.Error) as error:
                _log.warning("the database %s is made anew: %s", database.name, error)
                database.tables.close()
                drop_with_sessions(self._sessions.outside.connection(), database.name)
                self._copy(self._sessions.outside.connection(), database.name)
                database.tables = self._emptied(database.name)
        except BaseException:
            database.tables.close()
            with suppress(PgwatchError, psycopg.Error):
                self._drop(database.name, None)
            raise
        with self._lock:
            self._free.append(database)

    def _make(self) -> str:
        name = orphan_name()
        make_leased(self._sessions, self._copy, name)
        return name

    def _new_worker_database(self) -> _WorkerDatabase:
        name = self._make()
        try:
            return _WorkerDatabase(name, self._emptied(name))
        except BaseException:
            drop_leased(self._sessions, name)
            raise

    def _copy(self, connection: OwnConnection, name: str) -> None:
        try:
            clone(connection, name, self._found_template(), self._wanted.tablespace)
        except errors.InvalidCatalogName:
            # Somebody has dropped the template.
            with self._lock:
                self._template = None
            clone(connection, name, self._found_template(), self._wanted.tablespace)

    def _found_template(self) -> Template | None:
        if self._wanted.migrations.is_empty:
            return None
        with self._lock:
            if self._template is None:
                self._template = template_database(
                    self._sessions, self._wanted.migrations, self._wanted.tablespace
                )
            return self._template

    def _emptied(self, name: str) -> EmptiedTables:
        dsn = IsolatedPlace.database(self._wanted.dsn, name).dsn
        return EmptiedTables(dsn, restart_sequences=self._wanted.restart_sequences)


_shared: dict[tuple[object, ...], tuple[_OwnDatabases, int]] = {}
_shared_lock = threading.Lock()


@contextmanager
def _own_databases(wanted: _Wanted) -> Iterator[_OwnDatabases]:
    """Those of this process for a template; whoever leaves last drops them."""
    with own_sessions(wanted.dsn) as sessions:
        with _shared_lock:
            databases, users = _shared.get(wanted.key) or (_OwnDatabases(sessions, wanted), 0)
            _shared[wanted.key] = databases, users + 1
        try:
            yield databases
        finally:
            with _shared_lock:
                databases, users = _shared.pop(wanted.key)
                if users > 1:
                    _shared[wanted.key] = databases, users - 1
            if users == 1:
                databases.close()
