"""A connection for a scan: what it runs ends in time, whoever wants it to end."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import ClassVar, TypeVar

import psycopg
from psycopg.rows import class_row

from pgwatch_tests.config import Settings
from pgwatch_tests.errors import ConnectionLostError, PgwatchError
from pgwatch_tests.leaks.discover import exact_names
from pgwatch_tests.server.connect import connect, lost_connection
from pgwatch_tests.server.connection import OwnConnection
from pgwatch_tests.server.session_limits import SessionLimits, timeouts

R = TypeVar("R")

# Rows that a policy hides must be an error, not missing. And one table may be read by parallel
# workers, but starting some to share many small tables takes longer than reading those.
_SETTINGS = (("row_security", "off"), ("enable_parallel_append", "off"))
# If we are killed, the server shall not go on until it has counted everything (since 14, on most platforms).
_NOTICE_OUR_DEATH = (("client_connection_check_interval", "2s"),)

_GRACE_S = 5.0  # how much later than the server's own timeout we stop waiting for its word
_CANCEL_ATTEMPTS = 5
_CANCEL_PAUSE_S = 0.2


class ScanCancelledError(PgwatchError):
    """The scan was told to end before it was done: exit 130."""

    exit_code: ClassVar[int] = 130


class ScanSession:
    """A connection that runs one statement at a time; `cancel` is for any other thread."""

    def __init__(self, settings: Settings, *, read_only: bool = True) -> None:
        self._settings = settings
        self._read_only = read_only
        self._cancelled = threading.Event()
        self._closed = threading.Event()
        self._connection: OwnConnection | None = None
        self._patience_s = settings.count_timeout_s + _GRACE_S
        self._deadline: float | None = None
        """When to stop waiting for the statement that runs, by the monotonic clock."""
        self._gave_up = False
        self.last_duration_s = 0.0
        """How long the last statement took."""

    @property
    def connection(self) -> OwnConnection:
        """The connection, once it is open."""
        assert self._connection is not None
        return self._connection

    def open(self) -> None:
        """Connects. Raises CannotConnectError, ConfigurationError or ScanCancelledError."""
        limits = SessionLimits(
            self._settings.count_timeout_s,
            self._settings.lock_timeout_s,
            read_only=self._read_only,
            own_time_zone=True,
            more=_SETTINGS,
            optional=_NOTICE_OUR_DEATH,
        )
        self._stop_if_cancelled()
        self._connection = connect(
            self._settings.dsn, limits, connect_timeout_s=self._settings.connect_timeout_s
        )
        self._connection.prepare_threshold = None
        threading.Thread(target=self._watch, name="leak scan deadline", daemon=True).start()
        self._stop_if_cancelled()

    def close(self) -> None:
        """Closes the connection, if there is one."""
        self._closed.set()
        if self._connection is not None:
            self._connection.close()

    def limit(self, statement_timeout_s: float, lock_timeout_s: float) -> None:
        """From now on, statements may take so long. Raises what `running` does."""
        self.set(timeouts(statement_timeout_s, lock_timeout_s))
        self._patience_s = statement_timeout_s + _GRACE_S

    def set(self, settings: Mapping[str, str]) -> None:
        """Makes settings for the statements to come. Raises what `running` does."""
        with self.running():
            self.connection.set(settings)

    def execute(self, statement: bytes) -> None:
        """Runs a statement that has no result. Raises what `running` does."""
        with self.running():
            self.connection.execute(statement)

    def fetch(
        self, statement: bytes, row: type[R], parameters: Mapping[str, object] | None = None
    ) -> list[R]:
        """Runs a statement; its columns are the fields of `row`. Raises what `running` does."""
        with self.running(), self.connection.cursor(row_factory=class_row(row)) as cursor:
            exact_names(cursor)
            return cursor.execute(statement, parameters).fetchall()

    @contextmanager
    def running(self) -> Iterator[None]:
        """For statements on the connection.

        Lets psycopg's error of a statement that failed through. Raises ScanCancelledError once the scan is
        cancelled, and ConnectionLostError if the connection is gone, or the server says nothing at all for
        longer than statement_timeout.
        """
        self._stop_if_cancelled()
        begun = time.monotonic()
        self._deadline = begun + self._patience_s
        try:
            yield
        except psycopg.Error as error:
            self._stop_if_cancelled()
            if self._gave_up:
                raise ConnectionLostError(
                    f"the connection was lost: no answer from the server in {self._patience_s:g} s"
                ) from None
            if self._is_lost(error):
                with lost_connection(self._settings.dsn):
                    raise
            raise
        finally:
            self._deadline = None
            self.last_duration_s = time.monotonic() - begun

    def cancel(self) -> None:
        """Makes what is running end with ScanCancelledError within moments. Returns at once."""
        self._cancelled.set()
        if self._connection is not None:
            threading.Thread(target=self._interrupt, name="cancel leak scan", daemon=True).start()

    def pause(self, duration_s: float) -> None:
        """Waits, outside of any statement. Raises ScanCancelledError as soon as the scan is cancelled."""
        self._cancelled.wait(duration_s)
        self._stop_if_cancelled()

    def _stop_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise ScanCancelledError("the scan was cancelled")

    def _is_lost(self, error: psycopg.Error) -> bool:
        # 08: connection exceptions; 57P: the server ends the session.
        state = error.sqlstate
        return self.connection.closed or state is None or state.startswith(("08", "57P"))

    def _interrupt(self) -> None:
        # More than once: a request that comes between two statements cancels neither. A pooler may bring it
        # when the session is somebody else's already.
        for _ in range(_CANCEL_ATTEMPTS if self.connection.pooled is False else 0):
            with suppress(psycopg.Error):  # nobody there to ask
                self.connection.cancel_safe(timeout=1)
            if self._closed.wait(_CANCEL_PAUSE_S):
                return
        self._hang_up()

    def _watch(self) -> None:
        wait_s = self._patience_s
        while not self._closed.wait(wait_s):
            deadline, now = self._deadline, time.monotonic()
            if deadline is not None and deadline <= now:
                self._gave_up = True
                self._hang_up()
                return
            # Whatever begins meanwhile may take longer than this.
            wait_s = self._patience_s if deadline is None else deadline - now

    def _hang_up(self) -> None:
        """Ends the connection under whoever waits for it; libpq's own functions aren't for two threads."""
        try:
            with socket.socket(fileno=os.dup(self.connection.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)
        except (OSError, psycopg.Error):
            pass  # closed already
