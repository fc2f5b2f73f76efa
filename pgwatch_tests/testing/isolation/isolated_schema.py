"""A schema of a test's own, with the suite's migrations in it.

    with isolated_schema(dsn, Base.metadata) as place, place.connect() as connection:
        connection.execute("SELECT * FROM users")

Its name tells when it was made, and it has a lease: what is left of an owner that was killed, a sweep takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress

import psycopg
from psycopg import errors, sql

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.orphans.orphan_names import orphan_name
from pgwatch_tests.sweep.orphans.schema_drop import check_dependents, drop_schema
from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
from pgwatch_tests.testing.isolation.kept_places import note_kept
from pgwatch_tests.testing.isolation.migrations import Migrations, MigrationsLike, as_migrations
from pgwatch_tests.testing.isolation.own_sessions import OwnSessions, note_left, own_sessions
from pgwatch_tests.testing.isolation.resource import Resource
from pgwatch_tests.testing.lease_session import tell_given_up

_MOST_AT_ONCE = 200
"""Things that are dropped in one transaction: each takes places in the server's lock table."""


def isolated_schema(
    dsn: str, migrations: MigrationsLike = None, *, beside: Iterable[str] = ()
) -> Resource[IsolatedPlace]:
    """A new schema in the database that `dsn` names, with the migrations in it; dropped in the end.

    Names without a schema mean this one, then those of `beside`, such as the one that extensions are in. For
    `with` and `async with`. Entering raises MigrationError, also if the migrations make something in another
    schema, and what they raise; RefusedError for a pooler, CannotConnectError, ConfigurationError. Leaving
    raises RefusedError if the schema stays, see `testing.schema`.
    """
    wanted, others = as_migrations(migrations), tuple(beside)
    return Resource(lambda: _made(dsn, wanted, others))


@contextmanager
def _made(dsn: str, migrations: Migrations, beside: tuple[str, ...]) -> Iterator[IsolatedPlace]:
    name = orphan_name()
    with own_sessions(dsn) as sessions:
        sessions.inside.take(name)
        try:
            sessions.inside.connection().execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
            place = IsolatedPlace.schema(dsn, name, beside, sessions.builder)
            try:
                migrations.apply(place)
                yield place
            except BaseException:
                with suppress(PgwatchError, psycopg.Error):
                    _end(sessions, place)
                raise
            _end(sessions, place)
        finally:
            sessions.inside.free(name)


def _end(sessions: OwnSessions, place: IsolatedPlace) -> None:
    place.dispose()
    if not sessions.inside.is_ours(place.name):
        tell_given_up(place.name)
    elif not note_kept(sessions.inside.connection(), place, "SCHEMA"):
        _drop(sessions, place.name)


def _drop(sessions: OwnSessions, name: str) -> None:
    connection = sessions.inside.connection()
    try:
        try:
            if _drop_contents(connection, name):
                return
        except (errors.DependentObjectsStillExist, errors.WrongObjectType):
            pass
        # Parts that depend on each other, or others on them: what would go with it is looked at first.
        with closing(DatabaseSession(sessions.settings(), read_only=False)) as session:
            session.open()
            check_dependents(session, name)
            drop_schema(session, name, stopped=lambda: False, beside=connection)
    except BaseException:
        note_left(sessions.inside, name)
        raise


def _drop_contents(connection: OwnConnection, name: str) -> bool:
    """Drops a schema and what is in it, unless anything depends on that. Returns whether it did.

    Nothing goes by CASCADE, so nothing of anybody else's goes. Raises psycopg.Error.
    """
    contents = connection.execute(queries.load("isolation/schema_contents"), {"schema": name}).fetchall()
    things: list[tuple[str, list[str]]] = [
        (str(kind), list(names)) for kind, names in contents if isinstance(names, list)
    ]
    if "" in dict(things) or sum(len(names) for _, names in things) > _MOST_AT_ONCE:
        return False
    statements = [f"DROP {kind} {', '.join(names)}" for kind, names in things]
    statements.append(f"DROP SCHEMA {name}")
    connection.execute(";\n".join(statements).encode())
    return True
