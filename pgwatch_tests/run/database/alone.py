"""The lease of a run on its database, which others can see: with `--alone` nobody else's run is there.

A session holds the leases that `postgres.runs` names, in the maintenance database if it can: there it is in
nobody's way, and stays when the suite drops its database. Who wants to be alone takes `alone:<database>`
first, and then looks who works there; who doesn't, takes `on:<database>` first, and then looks who is alone.
So of two that begin at once, one at least sees the other. All of it ends with the session: within
milliseconds after `kill -9`.

A plain run is never held up: a thread connects as soon as there is a server, and again when it was lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
from psycopg.rows import class_row

from pgwatch_tests.errors import PgwatchError, RefusedError
from pgwatch_tests.identity.real_clock import real_time_ms
from pgwatch_tests.locks.snapshot.poll_interval import retry_pauses_s
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect, lost_connection
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.dsn import database_name
from pgwatch_tests.postgres.connections.maintenance_database import MAINTENANCE_DATABASE, connect_outside
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.leases import KEEPALIVES, LEASE_KEY, run_lease
from pgwatch_tests.postgres.runs import Announcement, LiveRun, RunMode, RunRow, live_runs, run_parameters
from pgwatch_tests.postgres.server_messages import not_checked
from pgwatch_tests.postgres.sessions.scarcity import ScarceSessionsError, refuse_scarce
from pgwatch_tests.record.run_summary import RunFacts
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.ended_leases import EndedLease, note_end
from pgwatch_tests.testing.lease_session import is_lost
from pgwatch_tests.text.plain_text import plain

WAIT_EVERY_S = 0.5
"""How often a run that waits to be alone looks again."""
_LOOK_EVERY_S = 1.0

Tell = Callable[[str], None]


class RunLease:
    """The session of one run. `tell` gets sentences for the job's log, from any thread."""

    def __init__(self, settings: Settings, announcement: Announcement, tell: Tell) -> None:
        """`announcement.database` may be empty: then the server tells which one the DSN leads to."""
        self._settings = settings
        self._announcement = announcement
        self._tell = tell
        self._connection: OwnConnection | None = None
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._told: set[tuple[str, int]] = set()
        self._tried = threading.Event()
        self._stays_away = False
        self.trouble = ""
        """Why there is no lease, or wasn't for a while; empty if there was one all the time."""

    @property
    def announcement(self) -> Announcement:
        """What it announces now."""
        return self._announcement

    @property
    def is_held(self) -> bool:
        """Whether its session is there, as far as is known."""
        with self._lock:
            return self._connection is not None and not self._connection.closed

    def hold_alone(self, *, wait: bool, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Takes the database for this run alone. Returns False if it was `stopped` while it waited.

        Raises RefusedError if another run works there and `wait` isn't set, or if a pooler is in between;
        CannotConnectError, ConnectionLostError, and NotCheckedError if who is there can't be read.
        """
        self._announcement = replace(self._announcement, mode="waiting" if wait else "alone")
        with not_checked("whether it is free can't be told"), lost_connection(self._settings.dsn):
            while True:
                with self._lock:
                    others = self._others_while_alone(self._connected())
                    if not others:
                        self._announce("alone")
                        self._take_shared(f"on:{self._announcement.database}")
                        return True
                    if not wait:
                        self._disconnect()
                        raise RefusedError(_refusal(self._announcement.database, others))
                self._tell_once(others, "waiting for the end of")
                until_s = time.monotonic() + WAIT_EVERY_S
                while time.monotonic() < until_s:
                    if stopped():
                        self.release()
                        return False
                    self._ended.wait(min(WAIT_EVERY_S, 0.05))

    def keep(self) -> None:
        """Begins to hold the lease, and to take it anew when the session is lost. Returns at once."""
        thread = threading.Thread(target=self._keep, name="pgwatch-tests run lease", daemon=True)
        thread.start()
        # `release` may come at any time, from another thread: only one that was started can be joined.
        self._thread = thread

    def stays_away(self, within_s: float) -> bool:
        """Whether tests may need the session of the lease, if that is known within so many seconds."""
        self._tried.wait(within_s)
        return self._stays_away

    def release(self, within_s: float = 1.0) -> None:
        """Gives the lease back, and puts its end on record for sweeps on this machine. Raises nothing.

        A server that doesn't answer any more is waited for no longer than that: the session ends with the
        process.
        """
        self._ended.set()
        if self._thread is not None:
            self._thread.join(within_s)
        end = threading.Thread(target=self._end, name="pgwatch-tests run lease's end", daemon=True)
        end.start()
        end.join(within_s)

    def _end(self) -> None:
        with self._lock:
            if self._connection is not None and not self._connection.closed:
                with suppress(psycopg.Error, PgwatchError):
                    self._note_end(self._connection)
            self._disconnect()

    # Its session.

    def _connected(self) -> OwnConnection:
        if self._connection is None or self._connection.closed:
            limits = SessionLimits(
                statement_timeout_s=5.0,
                lock_timeout_s=1.0,
                read_only=False,
                more=(("application_name", self._announcement.application_name), *KEEPALIVES),
            )
            patience_s = self._settings.connect_timeout_s
            if not self._announcement.database:
                self._announcement = replace(self._announcement, database=self._database(limits))
            connection = connect_outside(self._settings.dsn, limits, connect_timeout_s=patience_s)
            try:
                connection.require_session("the lease of a run")
                refuse_scarce(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            self._take_shared(run_lease(self._announcement.run))
        return self._connection

    def _database(self, limits: SessionLimits) -> str:
        named = database_name(self._settings.dsn)
        if named:
            return named
        connection = connect(self._settings.dsn, limits, connect_timeout_s=self._settings.connect_timeout_s)
        try:
            return connection.info.dbname
        finally:
            connection.close()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _announce(self, mode: RunMode) -> None:
        """Says it by the session's name and its last statement."""
        assert self._connection is not None
        self._announcement = replace(self._announcement, mode=mode)
        self._connection.set({"application_name": self._announcement.application_name})
        self._connection.execute(self._announcement.statement())

    def _take(self, query: str, name: str) -> bool:
        assert self._connection is not None
        parameters = {"lease_key": LEASE_KEY, "name": name}
        return self._connection.execute(queries.load(query).encode(), parameters).fetchone() == (True,)

    def _take_shared(self, name: str) -> bool:
        taken = self._take("leases/take_shared", name)
        assert self._connection is not None
        self._connection.execute(self._announcement.statement())
        return taken

    # Who else is there.

    def _others_while_alone(self, connection: OwnConnection) -> tuple[LiveRun, ...]:
        """Returns who is in the way of being alone; if nobody is, `alone:` is taken."""
        name = f"alone:{self._announcement.database}"
        if not self._take("leases/take", name):
            connection.execute(self._announcement.statement())
            found = self._others(connection)
            # Its holder may have ended in between.
            return found or (_somebody(),)
        others = [
            one
            for one in self._others(connection)
            # Elsewhere, where the same lock is another one, somebody may wait for us as we do for him.
            if not (one.mode == "waiting" and one.pid > connection.info.backend_pid)
        ]
        if others:
            self._take("leases/free", name)
        connection.execute(self._announcement.statement())
        return tuple(others)

    def _others(self, connection: OwnConnection) -> tuple[LiveRun, ...]:
        """Returns the runs in this database, but those of the same id: shards of one run."""
        with connection.cursor(row_factory=class_row(RunRow)) as cursor:
            cursor.execute(queries.load("leases/runs").encode(), run_parameters(self._announcement.database))
            rows = cursor.fetchall()
        return tuple(one for one in live_runs(rows) if one.is_here and one.run != self._announcement.run)

    def _tell_once(self, others: tuple[LiveRun, ...], words: str) -> None:
        now = _now()
        for one in others:
            if (one.run, one.pid) not in self._told:
                self._told.add((one.run, one.pid))
                self._tell(f"{words} {plain(one.described(now))}")

    # The thread.

    def _keep(self) -> None:
        retries_s = retry_pauses_s()
        pause_s = 0.0
        while not self._ended.wait(pause_s):
            try:
                with self._lock, lost_connection(self._settings.dsn):
                    if self._ended.is_set():
                        return
                    self._look()
                retries_s, pause_s = retry_pauses_s(), _LOOK_EVERY_S
                self._tried.set()
            except (PgwatchError, psycopg.Error, OSError) as error:
                self.trouble = " ".join(str(error).split())
                if isinstance(error, RefusedError):
                    self._stays_away = isinstance(error, ScarceSessionsError)
                    self._tried.set()
                    return  # a pooler stays one
                self._tried.set()
                with self._lock:
                    self._disconnect()
                pause_s = next(retries_s)

    def _look(self) -> None:
        """Sees to it that the leases are held."""
        is_new = self._connection is None or self._connection.closed
        connection = self._connected()
        if is_new:
            database = self._announcement.database
            self._take_shared(f"on:{database}")
            if self._announcement.mode == "alone" and not self._take("leases/take", f"alone:{database}"):
                self._tell(f"another run has taken {plain(database)} for itself while the server was away")
            others = self._others(connection)
            self._announce(self._announcement.mode)
            if self._announcement.mode == "alone":
                self._tell_once(others, f"not alone in {plain(database)} any more:")
            else:
                self._tell_once(others, f"also at work in {plain(database)}:")
            return
        if connection.info.dbname == MAINTENANCE_DATABASE:
            if is_lost(connection):
                self._look()
            return
        row = connection.execute(queries.load("server/own_database_wanted").encode()).fetchone()
        if row == (True,):
            # In the suite's own database, for want of another: whoever drops it waits for us to leave.
            self._disconnect()
            raise PgwatchError("the lease was given up: the database is being dropped, altered or copied")
        connection.execute(self._announcement.statement())

    def _note_end(self, connection: OwnConnection) -> None:
        name = run_lease(self._announcement.run)
        rows = connection.execute(
            queries.load("leases/holders").encode(), {"lease_key": LEASE_KEY, "names": [name]}
        ).fetchall()
        if rows:
            return  # another shard of the run goes on
        row = connection.execute(queries.load("server/time").encode()).fetchone()
        if row is not None:
            started, ended_at = row
            if isinstance(started, datetime) and isinstance(ended_at, datetime):
                note_end(EndedLease(name, started, ended_at))


def announcement_of(facts: RunFacts) -> Announcement:
    """Returns what a run announces of itself; the server tells its database."""
    who = "@".join(filter(None, (facts.account, facts.machine)))
    command = " ".join(facts.command)
    return Announcement(facts.run, "", "shared", facts.began, who, command, facts.shard, facts.ci_url)


def _somebody() -> LiveRun:
    """A run that can't be read any more: it holds, or held until now, the lease."""
    return LiveRun("unknown", "alone", 0, _now(), "whose session can't be read", "")


def _refusal(database: str, others: tuple[LiveRun, ...]) -> str:
    now = _now()
    names = "; ".join(plain(one.described(now)) for one in others[:3])
    more = f"; and {len(others) - 3:,} more" if len(others) > 3 else ""
    return (
        f"{plain(database)} isn't free: {names}{more}. Wait for its end (--alone=wait), or give the command "
        "a database of its own (--lane)"
    )


def _now() -> datetime:
    return datetime.fromtimestamp(real_time_ms() / 1000, UTC)
