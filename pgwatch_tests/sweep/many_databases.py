"""Sweeps of several databases of one server, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pgwatch_tests.errors import (
    CannotConnectError,
    ConnectionLostError,
    NotCheckedError,
    PgwatchError,
    RefusedError,
)
from pgwatch_tests.leaks.many_databases import choose_on_server
from pgwatch_tests.postgres.connections.dsn import in_database
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import (
    NotSwept,
    SweepProgressCallback,
    SweepReport,
    SweepRequest,
    SweepsOfDatabases,
)
from pgwatch_tests.sweep.run import Sweep
from pgwatch_tests.task import CompoundTask, Task

NOT_REACHED = "the sweep was stopped before its turn"

# Errors of one database alone: the other ones are swept all the same.
_OF_ONE_DATABASE = (RefusedError, CannotConnectError, ConnectionLostError, NotCheckedError)


MakeSweep = Callable[[Settings, SweepRequest, SweepProgressCallback | None], Task[SweepReport]]


class SweepOfDatabases(CompoundTask):
    """A sweep of each of several databases: a `pgwatch_tests.task.Task`.

    `begin` is told the name of each database before it is swept, in the thread that sweeps.
    """

    def __init__(
        self,
        settings: Settings,
        patterns: Sequence[str],
        request: SweepRequest,
        progress: SweepProgressCallback | None = None,
        *,
        begin: Callable[[str], None] | None = None,
        make_sweep: MakeSweep = Sweep,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._patterns = patterns
        self._request = request
        self._progress = progress
        self._begin = begin
        self._make_sweep = make_sweep

    def run(self) -> SweepsOfDatabases:
        """Sweeps the databases whose names are, or fit, one of the patterns (see `leaks.databases.choose`).

        What keeps one of them from being swept is in the result's `not_swept`; if that's so for all, the
        first one's error is raised. Databases that were left behind are looked for once. Raises
        ConfigurationError if none fits, CannotConnectError if not even their list can be had, and
        WorkCancelledError.
        """
        begun, started_at = time.monotonic(), datetime.now(UTC)
        choice = choose_on_server(self._settings, self._patterns)
        reports: list[SweepReport] = []
        not_swept = [NotSwept(one.database, one.reason) for one in choice.not_checked]
        errors: list[PgwatchError] = []
        dropped: set[str] = set()
        request = self._request
        for name in choice.names:
            if name in dropped:
                continue
            if self.is_stopped:
                not_swept.append(NotSwept(name, NOT_REACHED))
                continue
            if not request.kinds:
                break
            if self._begin is not None:
                self._begin(name)
            try:
                report = self._sweep(name, request)
            except _OF_ONE_DATABASE as error:
                errors.append(error)
                not_swept.append(NotSwept(name, str(error)))
                continue
            reports.append(report)
            # Orphans of the whole server are swept from one of its databases, not from each.
            request = replace(request, kinds=tuple(kind for kind in request.kinds if kind != "databases"))
            dropped |= {one.name for one in report.orphans if one.kind == "databases" and one.removed}
        if self.is_cancelled:
            raise WorkCancelledError("stopped before all databases were swept")
        if errors and not reports and not self.is_stopped:
            raise _of_all(errors, not_swept)
        not_swept.sort(key=lambda one: one.database)
        return SweepsOfDatabases(started_at, tuple(reports), tuple(not_swept), time.monotonic() - begun)

    def _sweep(self, name: str, request: SweepRequest) -> SweepReport:
        settings = replace(self._settings, dsn=in_database(self._settings.dsn, name))
        return self.run_task(self._make_sweep(settings, request, self._progress))


def _of_all(errors: Sequence[PgwatchError], not_swept: Sequence[NotSwept]) -> PgwatchError:
    if len(not_swept) == 1:
        return errors[0]
    reasons = "; ".join(f"{one.database}: {one.reason}" for one in not_swept)
    return type(errors[0])(f"no database was swept: {reasons}")
