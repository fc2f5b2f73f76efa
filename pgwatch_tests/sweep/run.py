"""One sweep of one database, from the guard to the report."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg
from psycopg import errors

from pgwatch_tests.errors import ConnectionLostError, NotCheckedError, RefusedError
from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.postgres.connections.connection import Identity
from pgwatch_tests.postgres.guard import DatabaseFacts, refusal
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.postgres.sweep_lock import release_sweep_lock, take_sweep_lock
from pgwatch_tests.postgres.version import in_words
from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep import ended_leases
from pgwatch_tests.sweep.model import SweepProgress, SweepProgressCallback, SweepReport, SweepRequest
from pgwatch_tests.sweep.orphans.orphan_loop import SweptOrphans
from pgwatch_tests.sweep.orphans.orphans import sweep_orphans
from pgwatch_tests.sweep.rows.passes import RowSweep, SweptRows


@dataclass(frozen=True, slots=True)
class _Started:
    """The row of queries/server/time.sql."""

    server_started: datetime
    now: datetime


class Sweep:
    """A sweep of one database: a `pgwatch_tests.task.Task`."""

    def __init__(
        self, settings: Settings, request: SweepRequest, progress: SweepProgressCallback | None = None
    ) -> None:
        self._settings = settings
        self._request = request
        self._progress = progress
        self._stopped = threading.Event()
        self._session = DatabaseSession(settings, read_only=request.dry_run)
        self._started: _Started | None = None

    def run(self) -> SweepReport:
        """Connects, asks the guard, and removes what was asked for, or says what it would.

        Raises RefusedError (not a test database, a standby, a pooler in between, another sweep is at it, more
        than `max_rows`), CannotConnectError, ConnectionLostError, ConfigurationError (a marker that isn't
        one), NotCheckedError (not even the catalogs can be read) and WorkCancelledError. Once something is
        removed, `error` in the report tells of a lost connection, or of catalogs that can't be read.
        """
        begun, started_at = time.monotonic(), datetime.now(UTC)
        names = tuple(marker.name for marker in markers(self._settings.markers))
        if self._settings.read_only and not self._request.dry_run:
            raise RefusedError("nothing is swept: read_only is set")
        before, rows, after, lost = SweptOrphans(), SweptRows(), SweptOrphans(), ""
        with closing(self._session) as session:
            session.open()
            if not self._request.dry_run:
                session.connection.require_session("a sweep that deletes")
            version = in_words(session.connection.info.server_version)
            try:
                identity = self._guarded()
                # First those that hold locks on rows, or on what is in schemas and databases.
                before = self._orphans("sessions", "prepared")
                rows = self._rows(identity.role)
                if not rows.error:
                    after = self._orphans("schemas", "databases")
            except (ConnectionLostError, psycopg.Error) as error:
                if self._request.dry_run or not (rows.deleted or any(one.removed for one in before.orphans)):
                    if isinstance(error, ConnectionLostError):
                        raise
                    raise NotCheckedError(
                        f"the catalogs can't be read, so nothing was done: {server_message(error)}"
                    ) from error
                lost = (
                    str(error)
                    if isinstance(error, ConnectionLostError)
                    else f"the catalogs can't be read: {server_message(error)}"
                )
            finally:
                # Of a session that isn't ours alone, this would free what a test holds.
                if not self._request.dry_run:
                    release_sweep_lock(session)
        return SweepReport(
            started_at=started_at,
            server_version=version,
            database=identity.database,
            dry_run=self._request.dry_run,
            kinds=self._request.sought,
            markers=names,
            min_age_s=self._request.min_age_s,
            planned=rows.planned,
            deleted=rows.deleted,
            kept=rows.kept,
            orphans=(*before.orphans, *after.orphans),
            not_checked=(*rows.not_checked, *before.not_checked, *after.not_checked),
            passes=rows.passes,
            duration_s=time.monotonic() - begun,
            longest_transaction_s=rows.longest_transaction_s,
            interrupted=self._stopped.is_set(),
            error=rows.error or lost,
            server_started=None if self._started is None else self._started.server_started,
            away_s=tuple(session.away_s),
            changed=rows.changed,
            side_effects=rows.side_effects,
            since=None if self._request.since is None else self._request.since.taken_at,
            any_rows=self._request.any_rows,
            left_by=rows.left_by,
            in_spite_of_age=rows.in_spite_of_age,
            ended_runs=tuple(one.run for one in self._request.ended_leases if one.run is not None),
        )

    def stop(self) -> None:
        """Makes `run` return its report after the batch that it is at. Returns at once."""
        self._stopped.set()

    def cancel(self) -> None:
        """Makes `run` end with WorkCancelledError within moments. Returns at once."""
        self._session.cancel()

    def _guarded(self) -> Identity:
        """Where we are, and as whom. Raises RefusedError if nothing may be changed there."""
        facts = self._session.ask("server/test_database", DatabaseFacts)[0]
        reason = refusal(facts, patterns=self._settings.test_databases)
        if reason is not None:
            raise RefusedError(reason)
        self._started = self._session.ask("server/time", _Started)[0]
        if self._request.server_started not in (None, self._started.server_started):
            raise RefusedError(
                "nothing is swept: another server answers than the one of the preview, or that one was "
                "restarted; preview again"
            )
        ends = ended_leases.ends_that_matter(
            self._request.ended_leases,
            self._started.server_started,
            self._started.now,
            0.0 if self._request.min_age_is_firm else self._request.min_age_s,
        )
        self._request = replace(self._request, ended_leases=ends)
        if not self._request.dry_run:
            if facts.skips_triggers:
                self._fire_triggers()
            take_sweep_lock(self._session)
        return self._session.identity()

    def _fire_triggers(self) -> None:
        """Ends what a setting of the role or database says: without triggers, foreign keys aren't kept."""
        try:
            self._session.set({"session_replication_role": "origin"})
        except errors.InsufficientPrivilege:
            raise RefusedError(
                "nothing is swept: session_replication_role is replica for this role or database, so no "
                "trigger would fire and no foreign key would be kept"
            ) from None

    def _rows(self, role: str) -> SweptRows:
        if "rows" not in self._request.kinds:
            return SweptRows()
        return RowSweep(self._session, self._settings, self._request, self._stopped.is_set, self._tell).run(
            role
        )

    def _orphans(self, *kinds: SweepKind) -> SweptOrphans:
        asked = tuple(kind for kind in kinds if kind in self._request.kinds)
        if not asked:
            return SweptOrphans()
        self._session.limit(self._settings.count_timeout_s, self._settings.lock_timeout_s)
        return sweep_orphans(
            self._session, self._settings, replace(self._request, kinds=asked), self._stopped.is_set
        )

    def _tell(self, progress: SweepProgress) -> None:
        if self._progress is not None:
            self._progress(progress)
