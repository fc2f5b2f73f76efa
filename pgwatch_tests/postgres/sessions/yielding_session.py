"""Sessions that give way: whoever waits for our tables or our database has them, and the read is repeated.

Whoever drops, alters or copies the database waits 5 s for others to leave it, so the session leaves
meanwhile. Whoever empties or alters a table waits for its readers, so the statement that reads it is
cancelled. Either way the session runs that statement again later.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from pgwatch_tests.errors import (
    CannotConnectError,
    ConnectionLostError,
    GaveWayError,
    NoAnswerError,
    NoSlotError,
    NotCheckedError,
    WorkCancelledError,
)
from pgwatch_tests.postgres.connections.connect import connect, lost_connection
from pgwatch_tests.postgres.connections.connection import DatabaseInstance, OwnConnection
from pgwatch_tests.postgres.connections.disconnection import hang_up
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.sessions import self_lookout
from pgwatch_tests.postgres.sessions.lookout import Lookout, is_wanted, session_name
from pgwatch_tests.settings.load import Settings

# Rows that a policy hides must be an error, not missing. To start workers for many small tables takes
# longer than to read those. A join with a sweep's rows doesn't fit into 4 MB: each worker would write a file.
_SETTINGS = (("row_security", "off"), ("enable_parallel_append", "off"), ("work_mem", "32MB"))
# If we are killed, the server shall not go on until it has counted everything (since 14, on most platforms).
_NOTICE_OUR_DEATH = (("client_connection_check_interval", "2s"),)

_GRACE_S = 5.0  # how much later than the server's own timeout we stop waiting for its answer
_CANCEL_ATTEMPTS = 5
_CANCEL_PAUSE_S = 0.2
# For all sessions to leave a database (CountOtherDBBackends, src/backend/storage/ipc/procarray.c).
OTHERS_WAIT_S = 5.0
# Most scans are over by then.
_FIRST_LOOK_S = 0.3
_LOOK_EVERY_S = 0.5
_ASK_EVERY_S = 2.0
# A busy server may be late with one answer, and what is cut short is counted anew without indexes or workers.
_BLIND_LOOKS = 2
CUT_SHORT_AFTER_S = 0.8
"""Seconds that a statement may run behind a pooler if it doesn't watch itself."""
_LOOK_AGAIN_S = 0.25
# A statement that is younger is let end: most are about to.
_BRIEF_S = 0.4
_CANCELLED_WITHIN_S = 2.0
# Longer than the pause between two workers that copy the same template.
_QUIET_S = 1.0


class WaitedForError(errors.LockNotAvailable):
    """A statement was cancelled each time for somebody who waited for its tables, whom the message names."""


class CutShortError(errors.QueryCanceled):
    """A statement was cut short, since nothing could look out for those who wait for it."""


class YieldingSession:
    """A connection that runs one statement at a time; `cancel` is for any other thread.

    If somebody drops, alters or copies its database, it is closed within 2 s. A read-only session is opened
    again when that is over; any other then raises GaveWayError. Whoever waits for a table that a statement
    reads, outside of a transaction, is let through within 1 s. `gives_way` turns all that off.

    A session beside it looks out for those. Behind a pooler there is none, since whoever ended a statement
    from outside could meet another client's; nor where the server grants no second one.
    """

    def __init__(self, settings: Settings, *, read_only: bool = True, gives_way: bool = True) -> None:
        self._settings = settings
        self._read_only = read_only
        self._gives_way = gives_way
        self._leaving = threading.Event()
        self._place: DatabaseInstance | None = None
        """The database that it gives way in; None if it doesn't."""
        self._lookout: Lookout | None = None
        self._left: list[OwnConnection] = []
        """The connections of before: what was composed with their way of escaping still uses it."""
        self._looked_s = 0.0
        self._reading_since_s: float | None = None
        """When the statement began that may be cancelled and run again."""
        self._cuttable_since_s: float | None = None
        """When the statement began that is cut short if nothing looks out for others."""
        self._cut_short_s = -math.inf
        self._looks_out_itself = False
        """Whether the running statement looks out for others by itself: see self_lookout."""
        self._let_through = ""
        """The session that a statement was last cancelled for, and when."""
        self._let_through_s = -math.inf
        self.away_s: list[float] = []
        """Seconds of each time that it was away to give way."""
        self.in_the_way_s = 0.0
        """How long a statement ran that couldn't give way, since no second session was to be had to look for
        others, or a pooler is in between; 0 if that was never longer than they wait."""
        self._cancelled = threading.Event()
        self._closed = threading.Event()
        self._connection: OwnConnection | None = None
        self._limits = SessionLimits(
            settings.count_timeout_s,
            settings.lock_timeout_s,
            read_only=read_only,
            own_time_zone=True,
            more=_SETTINGS,
            optional=_NOTICE_OUR_DEATH,
        )
        self._statement_s = settings.count_timeout_s
        self._deadline: float | None = None
        """The deadline of the running statement, by the monotonic clock."""
        self._gave_up = False
        self.last_duration_s = 0.0
        """Seconds that the last statement took."""

    @property
    def connection(self) -> OwnConnection:
        """The connection, once it is open."""
        assert self._connection is not None
        return self._connection

    def open(self) -> None:
        """Connects. Raises CannotConnectError, ConfigurationError or WorkCancelledError."""
        self._stop_if_cancelled()
        self._connection = connection = self._connected()
        # A pooler keeps the session in the database, whether we leave or not.
        if self._gives_way and connection.pooled is False:
            self._place = connection.place
        self._looked_s = time.monotonic()
        threading.Thread(target=self._keep_deadline, name="session deadline", daemon=True).start()
        self._stop_if_cancelled()

    def close(self) -> None:
        """Closes the connection, if there is one."""
        self._closed.set()
        for connection in (self._connection, *self._left):
            if connection is not None:
                connection.close()

    @contextmanager
    def running(self, statements: int = 1) -> Iterator[None]:
        """Runs statements on the connection, so many in one message.

        Lets psycopg's error of a statement that failed through. Raises WorkCancelledError once it is
        cancelled, GaveWayError if it had to give way, and ConnectionLostError if the connection is gone, or
        the server says nothing at all for longer than statement_timeout.
        """
        self._stop_if_cancelled()
        self._stop_if_leaving()
        begun = time.monotonic()
        patience_s = self._statement_s * statements + _GRACE_S
        self._deadline = begun + patience_s
        try:
            yield
        except psycopg.Error as error:
            self._stop_if_cancelled()
            self._stop_if_leaving()
            self._stop_if_let_through(error)
            self._stop_if_cut_short(error)
            self._stop_if_wanted(error)
            if self._gave_up:
                raise ConnectionLostError(
                    f"the connection was lost: no answer from the server in {patience_s:g} s"
                ) from None
            if self._is_lost(error):
                with lost_connection(self._settings.dsn):
                    raise
            raise
        finally:
            self._deadline = None
            ended = time.monotonic()
            self.last_duration_s = ended - begun
            unseen_s = ended - max(begun, self._looked_s)
            can_be = self._lookout is not None or (self._is_pooled and self._gives_way)
            if can_be and not self._looks_out_itself and unseen_s > OTHERS_WAIT_S:
                self.in_the_way_s = max(self.in_the_way_s, unseen_s)

    def cancel(self) -> None:
        """Makes what is running end with WorkCancelledError within moments. Returns at once."""
        self._cancelled.set()
        if self._connection is not None:
            threading.Thread(target=self._interrupt, name="cancel session", daemon=True).start()

    def pause(self, duration_s: float) -> None:
        """Waits outside of any statement. Raises WorkCancelledError as soon as it is cancelled."""
        self._cancelled.wait(duration_s)
        self._stop_if_cancelled()

    def _stop_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise WorkCancelledError("the scan was cancelled")

    def _stop_if_leaving(self) -> None:
        if self._leaving.is_set():
            raise GaveWayError(f"left {self._name}, which is being dropped, altered or copied")

    def _stop_if_let_through(self, error: psycopg.Error) -> None:
        cancelled_s = time.monotonic() - self._let_through_s
        if isinstance(error, errors.QueryCanceled) and cancelled_s < _CANCELLED_WITHIN_S:
            raise WaitedForError(f"given up: {self._let_through} waited to change it") from None

    def _stop_if_cut_short(self, error: psycopg.Error) -> None:
        if not isinstance(error, errors.QueryCanceled) or self._cuttable_since_s is None:
            return
        now = time.monotonic()
        cut_short_s = self._cuttable_since_s + CUT_SHORT_AFTER_S if self._is_pooled else self._cut_short_s
        if 0 <= now - cut_short_s < _CANCELLED_WITHIN_S:
            raise CutShortError from None

    def _stop_if_wanted(self, error: psycopg.Error) -> None:
        """Raises WaitedForError if `error` says that a statement which watches itself made somebody wait."""
        who = self_lookout.wanted_by(str(error)) if self._looks_out_itself else None
        if who == self_lookout.DATABASE and self._place is not None:
            self._leaving.set()
            hang_up(self.connection)
            self._stop_if_leaving()
        if who is not None:
            pid, _, name = who.partition(" ")
            waiter = session_name(pid, name)
            if who == self_lookout.DATABASE:
                waiter = "somebody who drops, alters or copies the database"
            raise WaitedForError(f"given up: {waiter} waited to change it") from None

    # Giving way.

    @property
    def _is_pooled(self) -> bool:
        return self.connection.pooled is not False

    @property
    def _name(self) -> str:
        return self.connection.info.dbname

    def _look_after_others(self) -> None:
        """Asks every half second, unless the session is away, whether somebody waits for it."""
        assert self._lookout is not None
        lookout, blind = self._lookout, 0
        while True:
            connection = self.connection
            wanted = None if self._leaving.is_set() else lookout.is_wanted()
            if self._leaving.is_set():
                # In the database it would be in the way as well, and may have the role's only connection.
                if not lookout.is_outside:
                    lookout.close()
            elif connection is self.connection:  # else it has left and come back: that was about before
                blind = blind + 1 if wanted is None else 0
                if wanted is not None:
                    self._looked_s = time.monotonic()
                if wanted:
                    self._give_way()
                elif blind >= _BLIND_LOOKS:
                    self._cut_short()
                elif not blind:
                    self._let_others_through(lookout)
            if self._closed.wait(_LOOK_EVERY_S):
                break
        lookout.close()

    def _cut_short(self) -> None:
        since_s, connection = self._cuttable_since_s, self.connection
        if since_s is not None and time.monotonic() - since_s > _BRIEF_S:
            self._cut_short_s = time.monotonic()
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=1)

    def _let_others_through(self, lookout: Lookout) -> None:
        """Cancels a statement that has run for a while if somebody waits to change what it reads."""
        since_s, connection = self._reading_since_s, self.connection
        if since_s is None or time.monotonic() - since_s < _BRIEF_S:
            return
        waiter = lookout.waiter(connection.info.backend_pid)
        if waiter and self._reading_since_s == since_s:
            self._let_through, self._let_through_s = waiter, time.monotonic()
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=1)

    def _look_if_nobody_else_does(self) -> None:
        """Asks between statements, where the server grants no second session for the lookout."""
        if self._lookout is None or time.monotonic() - self._looked_s < _ASK_EVERY_S:
            return
        if self.connection.info.transaction_status != TransactionStatus.IDLE:
            return
        with self.running():
            wanted = is_wanted(self.connection)
        self._looked_s = time.monotonic()
        if wanted:
            self._give_way()

    def _give_way(self) -> None:
        connection = self.connection
        self._leaving.set()
        for _ in range(_CANCEL_ATTEMPTS):
            if self._deadline is None:
                break  # nothing runs
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=1)
            self._closed.wait(_CANCEL_PAUSE_S)
        hang_up(connection)

    def _come_back(self) -> None:
        """Waits until nobody wants the database any more, and connects again.

        Raises NotCheckedError if it is gone, or another one, or still wanted after count_timeout.
        """
        assert self._lookout is not None
        name, begun = self._name, time.monotonic()
        hang_up(self.connection)
        self._left.append(self.connection)
        quiet_since, until = begun, begun + self._settings.count_timeout_s
        while True:
            self.pause(_LOOK_AGAIN_S)
            now = time.monotonic()
            if self._lookout.is_outside and self._lookout.is_wanted():
                quiet_since = now
            elif now - quiet_since > _QUIET_S:
                if self._has_returned(name):
                    break
                quiet_since = time.monotonic()
            if now > until:
                raise NotCheckedError(
                    f"not checked: {name} is still being dropped, altered or copied, or no connection is free"
                )
        self.away_s.append(time.monotonic() - begun)
        self._looked_s = time.monotonic()
        self._leaving.clear()

    def _has_returned(self, name: str) -> bool:
        """Whether the database has let us in, and nobody wants it. Raises what `_come_back` does."""
        try:
            connection = self._connected()
        except (NoAnswerError, NoSlotError):
            return False
        except CannotConnectError as error:
            raise NotCheckedError(
                f"not checked: {name} was dropped or altered during the scan: {error}"
            ) from None
        self._connection = connection
        with lost_connection(self._settings.dsn):
            if connection.place != self._place:
                raise NotCheckedError(f"not checked: {name} was dropped and created anew during the scan")
            if not is_wanted(connection):
                return True
        hang_up(connection)
        self._left.append(connection)
        return False

    def _connected(self) -> OwnConnection:
        connection = connect(
            self._settings.dsn, self._limits, connect_timeout_s=self._settings.connect_timeout_s
        )
        connection.prepare_threshold = None
        return connection

    def _is_lost(self, error: psycopg.Error) -> bool:
        if self.connection.closed or error.sqlstate is None:
            return True
        # 08: connection exceptions; 57P: the server ends the session. As an ERROR, either is what a trigger
        # says, of another server for instance: the session goes on.
        ends = error.sqlstate.startswith(("08", "57P"))
        return ends and error.diag.severity_nonlocalized != "ERROR"

    def _interrupt(self) -> None:
        # More than once: a request that comes between two statements cancels neither. A pooler may bring it
        # when the session is somebody else's already.
        for _ in range(_CANCEL_ATTEMPTS if self.connection.pooled is False else 0):
            with suppress(psycopg.Error):  # nobody there to ask
                self.connection.cancel_safe(timeout=1)
            if self._closed.wait(_CANCEL_PAUSE_S):
                return
        hang_up(self.connection)

    def _keep_deadline(self) -> None:
        if self._closed.wait(_FIRST_LOOK_S):
            return
        if self._place is not None:
            with suppress(psycopg.Error):  # it was closed meanwhile
                self._lookout = Lookout(self._settings.dsn, self.connection, self._place.oid)
                threading.Thread(target=self._look_after_others, name="lookout", daemon=True).start()
        wait_s = 0.0
        while not self._closed.wait(wait_s):
            deadline, now = self._deadline, time.monotonic()
            if deadline is not None and deadline <= now:
                self._gave_up = True
                hang_up(self.connection)
                return
            # A statement that begins meanwhile may take longer than this.
            wait_s = self._statement_s if deadline is None else deadline - now
