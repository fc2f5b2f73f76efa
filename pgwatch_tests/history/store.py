"""The store of the history: tables in an SQLite file or any PostgreSQL, created on first use, safe to share.

Several processes may write at once. Each use opens a connection and closes it again: what is kept here is
written now and then, and a server may have been restarted in between.
"""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import platformdirs
import psycopg
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    create_engine,
    event,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pgwatch_tests.errors import (
    CannotConnectError,
    ConfigurationError,
    HistoryError,
    HistoryUnreachableError,
    PgwatchError,
)
from pgwatch_tests.history import layout
from pgwatch_tests.history.layout import SCHEMA, WRITES
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.dsn import normalise, redact
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.settings.load import Dsn

_PATIENCE_S = 5.0
_TURNS = 3.0  # so many times that for a writer's turn in an SQLite file
_GRANTS = (
    f"; whoever owns the history makes its tables by pgwatch-tests history, and grants USAGE on the schema "
    f"{layout.SCHEMA}, SELECT and INSERT on its tables"
)
_LIMITS = SessionLimits(statement_timeout_s=10.0, lock_timeout_s=_PATIENCE_S, read_only=False)


def default_file() -> Path:
    """Returns the file of this account's history, where no setting names another."""
    return platformdirs.user_state_path("pgwatch-tests") / "history.sqlite3"


class Store:
    """The history's tables in one place. For any thread; never forked."""

    def __init__(self, place: Path | Dsn) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    @property
    def name(self) -> str:
        """The name in messages: the file, or where the connection string was read."""
        return str(self._place) if isinstance(self._place, Path) else f"database of {self._place.source}"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with, of one moment: nothing comes or goes meanwhile. Raises HistoryError."""
        with self._told("read"), self._ready().connect() as connection:
            # A transaction of SQLite sees one moment anyway.
            if layout.is_postgresql(connection):
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction that is committed at the end. Raises HistoryError."""
        with self._told("written"):
            engine = self._ready()
            with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
                yield connection

    def _ready(self) -> Engine:
        with self._lock:
            # A file that somebody has moved away is created again.
            if self._engine is None or (isinstance(self._place, Path) and not self._place.exists()):
                engine = _sqlite(self._place) if isinstance(self._place, Path) else _postgresql(self._place)
                layout.prepare(engine, self.name)
                self._engine = engine
            return self._engine

    @contextmanager
    def _told(self, verb: str) -> Iterator[None]:
        """Turns any error into a HistoryError of one line, without a statement, its values, or a password."""
        try:
            yield
        except HistoryError:
            raise
        except CannotConnectError as error:
            raise HistoryUnreachableError(f"the history can't be {verb}: {error}") from None
        except PgwatchError as error:
            raise HistoryError(f"the history can't be {verb}: {error}") from None
        except DBAPIError as error:
            # The server or file may have been replaced since: the next use looks afresh.
            self._engine = None
            unreachable = error.connection_invalidated and isinstance(self._place, Dsn)
            kind = HistoryUnreachableError if unreachable else HistoryError
            raise kind(f"the history in {self.name} can't be {verb}: {self._reason(error.orig)}") from None
        except UnicodeDecodeError:
            # SQLite quotes what it finds damaged in its own tables, whatever bytes these are.
            raise HistoryError(
                f"the history in {self.name} can't be {verb}: it is damaged; move the file away to start a "
                "new one"
            ) from None
        except OSError as error:
            raise HistoryError(
                f"the history in {self.name} can't be {verb}: {error.strerror or type(error).__name__}"
            ) from None
        except SQLAlchemyError as error:
            # Only the beginning: the statement and its values follow.
            why = " ".join(str(error.args[0]).split()) if error.args else type(error).__name__
            raise HistoryError(f"the history in {self.name} can't be {verb}: {why}") from None

    def _reason(self, error: BaseException | None) -> str:
        if isinstance(self._place, Path):
            advice = "; move the file away to start a new one" if type(error) is sqlite3.DatabaseError else ""
            return f"{error}{advice}"
        message = server_message(error) if isinstance(error, psycopg.Error) else str(error)
        is_refused = isinstance(error, psycopg.errors.InsufficientPrivilege)
        return redact(message, self._place) + (_GRANTS if is_refused else "")


def _sqlite(path: Path) -> Engine:
    # The history has names of tests and tables: only its owner may read it.
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
    url = URL.create("sqlite", database=str(path))
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not os.access(path, os.R_OK):
            raise
        url = _to_read_only(path)
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={"timeout": _PATIENCE_S, "check_same_thread": False},
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _to_read_only(path: Path) -> URL:
    """The URL of a file that may only be read. Its log can't be made where the directory can't be written."""
    query = {"mode": "ro", "uri": "true"}
    if not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists():
        query["immutable"] = "1"
    return URL.create("sqlite", database=f"file:{quote(str(path.absolute()))}", query=query)


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun here, not by the driver
    connection.execute("PRAGMA foreign_keys = ON")
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        # Readers don't wait for writers then. Of two that set it at once, one is told that it's busy,
        # without having waited: the other has done it.
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY):
                raise


def _begin_sqlite(connection: Connection) -> None:
    if not connection.get_execution_options().get(WRITES):
        connection.exec_driver_sql("BEGIN")
        return
    # One that begins by reading and then writes is told "locked" at once if another writes. SQLite itself
    # looks only every 0.1 s after a while: between many writers it finds no moment.
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    deadline = time.monotonic() + _TURNS * _PATIENCE_S
    driver.execute("PRAGMA busy_timeout = 0")
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                break
        time.sleep(random.uniform(0.001, 0.01))
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # SQLAlchemy's error, or a last chance


def _postgresql(dsn: Dsn) -> Engine:
    if "dbname" not in psycopg.conninfo.conninfo_to_dict(normalise(dsn)[0]):
        # libpq's own default may well be the database that is swept.
        raise ConfigurationError(f"{dsn.source} must name a database: postgresql://host/database")

    def open_connection() -> psycopg.Connection[tuple[object, ...]]:
        connection = connect(dsn, _LIMITS, connect_timeout_s=_PATIENCE_S)
        connection.autocommit = False
        return connection

    engine = create_engine(
        "postgresql+psycopg://", creator=open_connection, poolclass=NullPool, use_native_hstore=False
    )
    return engine.execution_options(schema_translate_map={None: SCHEMA})
