"""The run of one sweep of one database, from the guard to the report."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import errors

from pgwatch_tests.errors import ConnectionLostError, NotCheckedError, PgwatchError, RefusedError
from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.postgres.connections.connection import Identity
from pgwatch_tests.postgres.guard import DatabaseFacts, refusal
from pgwatch_tests.postgres.runs import runs_at_work
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession, WorkCancelledError
from pgwatch_tests.postgres.sweep_lock import release_sweep_lock, take_sweep_lock
from pgwatch_tests.postgres.version import in_words
from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep import ended_leases
from pgwatch_tests.sweep.model import SweepProgress, SweepProgressCallback, SweepReport
from pgwatch_tests.sweep.orphans.orphan_loop import SweptOrphans
from pgwatch_tests.sweep.orphans.orphans import sweep_orphans
from pgwatch_tests.sweep.plan import young_rows
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.rows.passes import RowSweep, SweptRows
from pgwatch_tests.text.numbers import plural

_NOUNS: Mapping[SweepKind, str] = {
    "sessions": "session",
    "prepared": "prepared transaction",
    "schemas": "schema",
    "databases": "database",
}


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
        """Connects, asks the guard, and sweeps, or in a dry run plans. Returns the report.

        Raises RefusedError (not a test database, a standby, a pooler in between, another sweep is at it, more
        than `max_rows`), CannotConnectError, ConnectionLostError, ConfigurationError (a marker that isn't
        one), NotCheckedError (not even the catalogs can be read) and WorkCancelledError. Once something is
        removed, `error` in the report tells of all others, and of what was removed by then.
        """
        begun, started_at = time.monotonic(), datetime.now(UTC)
        names = tuple(marker.name for marker in markers(self._settings.markers))
        if self._settings.read_only and not self._request.dry_run:
            raise RefusedError("nothing is swept: read_only is set")
        before, rows, after = SweptOrphans(), SweptRows(), SweptOrphans()
        failure: Exception | None = None
        live: tuple[str, ...] = ()
        with closing(self._session) as session:
            session.open()
            if not self._request.dry_run:
                session.connection.require_session("a sweep that deletes")
            version = in_words(session.connection.info.server_version)
            try:
                identity = self._guarded()
                live = runs_at_work(session, identity.database, os.environ.get("PGWATCH_RUN"))
                # First those that hold locks on rows, or on what is in schemas and databases.
                before = self._orphans("sessions", "prepared")
                if before.error is None:
                    rows = self._rows(identity.role)
                if before.error is None and not rows.error:
                    after = self._orphans("schemas", "databases")
                failure = before.error or after.error
            except WorkCancelledError:
                raise
            except Exception as error:  # noqa: BLE001 (what is done has to be told, whatever fails)
                failure = error
            finally:
                # Of a session that isn't ours alone, this would free what a test holds.
                if not self._request.dry_run:
                    release_sweep_lock(session)
        removed = _removed(rows, before, after)
        if failure is not None and (self._request.dry_run or not removed):
            raise _of_nothing_done(failure)
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
            error=rows.error or ("" if failure is None else f"{_why(failure)} (removed by then: {removed})"),
            error_exit_code=_exit_code(None if rows.error else failure),
            server_started=None if self._started is None else self._started.server_started,
            away_s=tuple(session.away_s),
            changed=rows.changed,
            live_runs=live,
            side_effects=rows.side_effects,
            since=None if self._request.since is None else self._request.since.taken_at,
            any_rows=self._request.any_rows,
            left_by=rows.left_by,
            in_spite_of_age=rows.in_spite_of_age,
            part=self._request.part,
            also_refer=rows.also_refer,
            youngest=None
            if self._started is None
            else young_rows.youngest(
                rows.young,
                self._request.min_age_s,
                self._started.now + timedelta(seconds=time.monotonic() - begun),
                rows.held_back,
            ),
            ended_runs=tuple(one.run for one in self._request.ended_leases if one.run is not None),
        )

    def stop(self) -> None:
        """Makes `run` return its report after the batch that it is at. Returns at once."""
        self._stopped.set()

    def cancel(self) -> None:
        """Makes `run` end with WorkCancelledError within moments. Returns at once."""
        self._session.cancel()

    def _guarded(self) -> Identity:
        """Returns the connected database and role. Raises RefusedError if nothing may be changed there."""
        facts = self._session.ask("server/test_database", DatabaseFacts)[0]
        reason = refusal(facts, patterns=self._settings.test_databases)
        if reason is not None:
            raise RefusedError(reason)
        self._started = self._session.ask("server/time", _Started)[0]
        if self._request.server_started not in (None, self._started.server_started):
            raise RefusedError(
                "nothing is swept: another server answers than the one of the preview, or that one was "
                "restarted. Preview again"
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
            # Tests of a run remove their own rows at once, and neither wait for a sweep nor keep one out.
            if not self._request.is_own:
                take_sweep_lock(self._session)
        return self._session.identity()

    def _fire_triggers(self) -> None:
        """Ends what a setting of the role or database says: without triggers, foreign keys aren't kept."""
        try:
            self._session.set({"session_replication_role": "origin"})
        except errors.InsufficientPrivilege:
            raise RefusedError(
                "nothing is swept: session_replication_role is replica for this role or database, so "
                "triggers and foreign keys would be off"
            ) from None

    def _rows(self, role: str) -> SweptRows:
        if "rows" not in self._request.sought:
            return SweptRows()
        return RowSweep(self._session, self._settings, self._request, self._stopped.is_set, self._tell).run(
            role
        )

    def _orphans(self, *kinds: SweepKind) -> SweptOrphans:
        asked = tuple(kind for kind in kinds if kind in self._request.sought)
        if not asked:
            return SweptOrphans()
        self._session.limit(self._settings.count_timeout_s, self._settings.lock_timeout_s)
        return sweep_orphans(
            self._session, self._settings, replace(self._request, kinds=asked), self._stopped.is_set
        )

    def _tell(self, progress: SweepProgress) -> None:
        if self._progress is not None:
            self._progress(progress)


def _removed(rows: SweptRows, *orphans: SweptOrphans) -> str:
    """`2 sessions, 40 rows`; empty if nothing is removed."""
    kinds = Counter(one.kind for part in orphans for one in part.orphans if one.removed)
    parts = [plural(number, _NOUNS[kind]) for kind, number in kinds.items()]
    if deleted := sum(table.total for table in rows.deleted):
        parts.append(plural(deleted, "row"))
    return ", ".join(parts)


def _of_nothing_done(failure: Exception) -> Exception:
    if not isinstance(failure, psycopg.Error):
        return failure
    error = NotCheckedError(f"{_why(failure)}, so nothing was done")
    error.__cause__ = failure
    return error


def _exit_code(failure: Exception | None) -> int:
    """The exit code of what ended a sweep that had removed something; 3 for what has none of its own."""
    if isinstance(failure, PgwatchError):
        return failure.exit_code
    return NotCheckedError.exit_code if isinstance(failure, psycopg.Error) else ConnectionLostError.exit_code


def _why(failure: Exception) -> str:
    if isinstance(failure, psycopg.Error):
        return f"the catalogs can't be read: {server_message(failure)}"
    return str(failure) if isinstance(failure, PgwatchError) else f"internal error: {failure!r}"
