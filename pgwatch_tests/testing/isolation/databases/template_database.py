"""Template databases: the migrations' result, built once and copied for each worker or test.

A template is called `pgwatch_template_<hash>`, by the migrations, role and tablespace. It is built under a
name of a test's own, whose lease the builder holds, and gets its name when it is whole, in one transaction
on the session that holds the lock: so no half-built one is ever used, and what a killed builder leaves is an
orphan to a sweep. Several that build at a time don't harm each other: only one can give the name. Nobody can
connect to it.

It stays when the run ends. Its comment tells when it was last used; whoever builds another one drops those
that weren't for a week.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import errors, sql

from pgwatch_tests.errors import LeaseTakenError, PgwatchError, RefusedError
from pgwatch_tests.identity.real_clock import real_time_ms
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.sweep.orphans.orphan_names import orphan_name
from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
from pgwatch_tests.testing.isolation.migrations import MigrationError, Migrations
from pgwatch_tests.testing.isolation.own_sessions import OwnSessions, own_sessions
from pgwatch_tests.testing.lease_session import free, take

PREFIX = "pgwatch_template_"
UNUSED_FOR_S = 7 * 86400.0

_FORMAT = b"1"
_COMMENT = re.compile(r"pgwatch-tests: template, copied by (?P<strategy>\w+), last used (?P<used>[0-9T:Z-]+)")
_USED = "%Y-%m-%dT%H:%MZ"
_NOTED_EVERY = timedelta(hours=1)
_PAUSE_S = 0.02
_PATIENCE = round(900 / _PAUSE_S)
_CLOSING_S = 1.0
_FIRST_WITH_STRATEGIES = 150000
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Template:
    """A whole template. `strategy` is how it is copied fastest, `default` where there is one way."""

    name: str
    strategy: str
    tablespace: str = ""


def template_database(sessions: OwnSessions, migrations: Migrations, tablespace: str = "") -> Template:
    """Returns the template of these migrations; builds it if there is none, or waits for who does.

    Raises MigrationError if a session of the migrations is still at work in it, what they raise, and
    RefusedError if whoever builds it takes more than 15 minutes.
    """
    connection = sessions.outside.connection()
    name = _name(connection, migrations, tablespace)
    lock = f"template:{name}"
    # A session has a lock as often as it asks for it.
    with _one_at_a_time:
        for _ in range(_PATIENCE):
            if (found := _found(connection, name, tablespace)) is not None:
                return found
            try:
                take(connection, lock)
            except LeaseTakenError:
                time.sleep(_PAUSE_S)
                continue
            try:
                found = _found(connection, name, tablespace)
                return found or _built(sessions, connection, name, migrations, tablespace)
            finally:
                free(connection, lock)
    raise RefusedError(f"another process has been building the template {name} for 15 minutes")


def drop_templates(dsn: str, unused_for_s: float = UNUSED_FOR_S) -> list[str]:
    """Drops the templates on the server of `dsn` that nobody has used for so long; returns their names.

    Only those that the role owns; a use counts by the hour. Raises CannotConnectError, ConfigurationError.
    """
    with own_sessions(dsn) as sessions:
        return _drop_unused(sessions.outside.connection(), unused_for_s)


def clone(connection: OwnConnection, name: str, template: Template | None, tablespace: str = "") -> None:
    """Makes a database of that name: a copy of the template, or empty. Raises psycopg.Error."""
    if template is None:
        connection.execute(_create(name, None, "default", tablespace))
    else:
        connection.execute(_create(name, template.name, template.strategy, template.tablespace))


def drop_with_sessions(connection: OwnConnection, name: str) -> None:
    """Drops a database, whoever is connected to it. Raises psycopg.Error."""
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _name(connection: OwnConnection, migrations: Migrations, tablespace: str) -> str:
    # What is in it belongs to whoever builds it.
    role = connection.identity.role if connection.identity is not None else connection.info.user
    digest = hashlib.sha256(
        b"\0".join((_FORMAT, migrations.hash.encode(), role.encode(), tablespace.encode()))
    )
    return f"{PREFIX}{digest.hexdigest()[:16]}"


def _found(connection: OwnConnection, name: str, tablespace: str) -> Template | None:
    """Returns the template if it is there. Raises RefusedError if a database of that name is none."""
    for found, comment, _ in connection.execute(queries.load("isolation/templates"), {"prefix": name}):
        if found != name:
            continue
        match = _COMMENT.fullmatch(str(comment))
        if match is None:
            raise RefusedError(f"the database {name} wasn't made by pgwatch-tests: rename it, or drop it")
        _note_use(connection, name, match["strategy"], match["used"])
        return Template(name, match["strategy"], tablespace)
    return None


def _note_use(connection: OwnConnection, name: str, strategy: str, used: str) -> None:
    if _now() - _time(used) < _NOTED_EVERY:
        return
    # Two that comment at a time get in each other's way.
    note = f"comment:{name}"
    with suppress(LeaseTakenError, psycopg.Error):
        take(connection, note)
        try:
            connection.execute(_comment(name, strategy))
        finally:
            free(connection, note)


def _built(
    sessions: OwnSessions, connection: OwnConnection, name: str, migrations: Migrations, tablespace: str
) -> Template:
    building = orphan_name()
    take(connection, building)
    try:
        try:
            connection.execute(_create(building, None, "default", tablespace))
            place = IsolatedPlace.database(sessions.dsn.value, building)
            try:
                migrations.apply(place)
            finally:
                place.dispose()
            _end_sessions(connection, building)
            strategy = _fastest(connection, building, tablespace)
            _publish(connection, building, name, strategy)
        except errors.DuplicateDatabase:
            # Whoever had lost the lock was faster.
            drop_with_sessions(connection, building)
            if (found := _found(connection, name, tablespace)) is None:
                raise
            return found
        except BaseException:
            with suppress(psycopg.Error, PgwatchError):
                drop_with_sessions(sessions.outside.connection(), building)
            raise
    finally:
        free(connection, building)
    with suppress(psycopg.Error):
        _drop_unused(connection, UNUSED_FOR_S)
    return Template(name, strategy, tablespace)


def _publish(connection: OwnConnection, building: str, name: str, strategy: str) -> None:
    # One message, so one transaction.
    connection.execute(
        sql.SQL(
            "ALTER DATABASE {building} WITH ALLOW_CONNECTIONS false IS_TEMPLATE true; {comment}; "
            "ALTER DATABASE {building} RENAME TO {name}"
        ).format(
            building=sql.Identifier(building), name=sql.Identifier(name), comment=_comment(building, strategy)
        )
    )


def _end_sessions(connection: OwnConnection, name: str) -> None:
    """Ends sessions of pools that the migrations have left idle. Raises MigrationError if one is at work."""
    for left in range(round(_CLOSING_S / _PAUSE_S), -1, -1):
        rows = connection.execute(queries.load("isolation/connected"), {"database": name}).fetchall()
        at_work = [
            f"pid {pid} ({app or 'no application name'})" for pid, app, state in rows if state != "idle"
        ]
        if not rows:
            return
        if not at_work:
            connection.execute(queries.load("isolation/end_sessions"), {"pids": [row[0] for row in rows]})
        elif left == 0:
            raise MigrationError(
                f"the migrations are done, but connected to their database and at work: "
                f"{', '.join(at_work)}. Close what they open"
            )
        time.sleep(_PAUSE_S)


def _fastest(connection: OwnConnection, name: str, tablespace: str) -> str:
    """Returns the strategy that copies this database faster, by a copy each; or `default`."""
    if connection.info.server_version < _FIRST_WITH_STRATEGIES:
        return "default"
    took: dict[str, float] = {}
    for strategy in ("wal_log", "file_copy"):
        copy = orphan_name()
        take(connection, copy)
        try:
            began = time.perf_counter_ns()
            connection.execute(_create(copy, name, strategy, tablespace))
            took[strategy] = time.perf_counter_ns() - began
            drop_with_sessions(connection, copy)
        finally:
            free(connection, copy)
    return min(took, key=lambda strategy: took[strategy])


def _drop_unused(connection: OwnConnection, unused_for_s: float) -> list[str]:
    dropped: list[str] = []
    rows = connection.execute(queries.load("isolation/templates"), {"prefix": PREFIX}).fetchall()
    for name, comment, is_ours in rows:
        match = _COMMENT.fullmatch(str(comment))
        if match is None or not is_ours or (_now() - _time(match["used"])).total_seconds() < unused_for_s:
            continue
        lock = f"template:{name}"
        with suppress(LeaseTakenError, errors.ObjectInUse):
            take(connection, lock)
            try:
                database = sql.Identifier(str(name))
                connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(database))
                connection.execute(sql.SQL("DROP DATABASE {}").format(database))
                dropped.append(str(name))
            finally:
                free(connection, lock)
    return dropped


def _create(name: str, template: str | None, strategy: str, tablespace: str) -> sql.Composed:
    words = [sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))]
    if template is not None:
        words.append(sql.SQL("TEMPLATE {}").format(sql.Identifier(template)))
    if strategy != "default":
        words.append(sql.SQL("STRATEGY {}").format(sql.Identifier(strategy)))
    if tablespace:
        words.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(tablespace)))
    return sql.SQL(" ").join(words)


def _comment(name: str, strategy: str) -> sql.Composed:
    text = f"pgwatch-tests: template, copied by {strategy}, last used {_now().strftime(_USED)}"
    return sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text))


def _now() -> datetime:
    # Whatever the suite makes of the clock.
    return datetime.fromtimestamp(real_time_ms() / 1000, UTC)


def _time(used: str) -> datetime:
    return datetime.strptime(used, _USED).replace(tzinfo=UTC)
