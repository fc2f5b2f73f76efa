"""Sweeps of several databases: one after the other on one server, beside each other on several."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pgwatch_tests.errors import (
    CannotConnectError,
    ConfigurationError,
    ConnectionLostError,
    NotCheckedError,
    PgwatchError,
    RefusedError,
)
from pgwatch_tests.fleet.servers import Server, reason_of
from pgwatch_tests.fleet.shared_work import SharedWork
from pgwatch_tests.leaks.many_databases import choose_any, choose_on_server, databases_of
from pgwatch_tests.postgres.connections.dsn import in_database
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import (
    NotSwept,
    SweepProgressCallback,
    SweepReport,
    SweepsOfDatabases,
)
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from pgwatch_tests.task import CompoundTask, Task

NOT_REACHED = "the sweep was stopped before its turn"

# Errors of one database alone: the other ones are swept all the same.
_OF_ONE_DATABASE = (RefusedError, CannotConnectError, ConnectionLostError, NotCheckedError)


MakeSweep = Callable[[Settings, SweepRequest, SweepProgressCallback | None], Task[SweepReport]]


class SweepOfDatabases(CompoundTask):
    """A sweep of each of several databases: a `pgwatch_tests.task.Task`.

    `begin` is told the name of each database before it is swept, in the thread that sweeps. `of_fleet`: if
    none fits, or none can be swept, that is no error: others go on.
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
        of_fleet: bool = False,
    ) -> None:
        super().__init__()
        self._of_fleet = of_fleet
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
        if self._of_fleet:
            choice = choose_any(databases_of(self._settings), self._patterns)
        else:
            choice = choose_on_server(self._settings, self._patterns)
        reports: list[SweepReport] = []
        not_swept = [
            NotSwept(one.database, one.reason, exit_code=one.exit_code) for one in choice.not_checked
        ]
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
                not_swept.append(NotSwept(name, str(error), exit_code=error.exit_code))
                continue
            reports.append(report)
            # Orphans of the whole server are swept from one of its databases, not from each.
            request = replace(request, kinds=tuple(kind for kind in request.kinds if kind != "databases"))
            dropped |= {one.name for one in report.orphans if one.kind == "databases" and one.removed}
        if self.is_cancelled:
            raise WorkCancelledError("stopped before all databases were swept")
        if errors and not reports and not self.is_stopped and not self._of_fleet:
            raise _of_all(errors, not_swept)
        not_swept.sort(key=lambda one: one.database)
        return SweepsOfDatabases(started_at, tuple(reports), tuple(not_swept), time.monotonic() - begun)

    def _sweep(self, name: str, request: SweepRequest) -> SweepReport:
        settings = replace(self._settings, dsn=in_database(self._settings.dsn, name))
        return self.run_task(self._make_sweep(settings, request, self._progress))


Begin = Callable[[str, str], None]
"""Told a server and a database that is swept now; in the thread that sweeps it."""


class SweepOfServers:
    """Sweeps of databases of several servers: a `pgwatch_tests.task.Task`.

    On each server one database after the other, at most `at_once` servers beside each other.
    """

    def __init__(
        self,
        settings: Settings,
        servers: Sequence[Server],
        request: SweepRequest,
        at_once: int,
        *,
        begin: Begin | None = None,
        end: Callable[[str], None] | None = None,
        make_sweep: MakeSweep = Sweep,
    ) -> None:
        self._settings = settings
        self._servers = servers
        self._request = request
        self._begin = begin
        self._end = end
        self._make_sweep = make_sweep
        self._work: SharedWork[Server, SweepsOfDatabases] = SharedWork(self._sweep, at_once)

    def run(self) -> SweepsOfDatabases:
        """Sweeps the databases of each server that its globs choose, or that of its connection string.

        What keeps a server, or one of its databases, from being swept is in the result's `not_swept`: even if
        that's so for all. Raises ConfigurationError if no database of any server fits, and
        WorkCancelledError.
        """
        begun, started_at = time.monotonic(), datetime.now(UTC)
        for server in self._servers:
            self._work.add(server.name, server)
        sweeps: dict[str, SweepsOfDatabases] = {}
        for name, _, outcome in self._work.outcomes():
            sweeps[name] = outcome
            if self._end is not None:
                self._end(name)
        ordered = [(server.name, sweeps[server.name]) for server in self._servers]
        result = SweepsOfDatabases(
            started_at,
            tuple(replace(report, server=name) for name, one in ordered for report in one.sweeps),
            tuple(replace(left, server=name) for name, one in ordered for left in one.not_swept),
            time.monotonic() - begun,
            tuple(name for name, _ in ordered),
        )
        if self._servers and not result.sweeps and not result.not_swept:
            globs = ", ".join(dict.fromkeys(glob for server in self._servers for glob in server.databases))
            raise ConfigurationError(f"no database of these servers matches {globs!r}")
        return result

    def stop(self) -> None:
        """Ends each server's sweep after its batch, and begins no other. Returns at once."""
        self._work.stop()

    def cancel(self) -> None:
        """Makes `run` raise within moments. Returns at once."""
        self._work.cancel()

    def _sweep(self, _: str, server: Server) -> SweepsOfDatabases:
        """The sweeps of one server; an error that ended them is its one `not_swept`."""
        nothing = SweepsOfDatabases(datetime.now(UTC), (), (), 0.0)
        if self._work.is_cancelled:
            raise WorkCancelledError("stopped before all servers were swept")
        if self._work.is_stopped:
            return replace(nothing, not_swept=(NotSwept("", NOT_REACHED),))
        settings = replace(self._settings, dsn=server.dsn)

        def begin(database: str) -> None:
            if self._begin is not None:
                self._begin(server.name, database)

        try:
            if server.databases:
                return self._work.run_task(
                    SweepOfDatabases(
                        settings,
                        server.databases,
                        self._request,
                        begin=begin,
                        make_sweep=self._make_sweep,
                        of_fleet=True,
                    )
                )
            begin("")
            report = self._work.run_task(self._make_sweep(settings, self._request, None))
            return replace(nothing, sweeps=(report,))
        except (*_OF_ONE_DATABASE, ConfigurationError) as error:
            reason = reason_of(error, server.dsn)
            return replace(nothing, not_swept=(NotSwept("", reason, exit_code=error.exit_code),))


def _of_all(errors: Sequence[PgwatchError], not_swept: Sequence[NotSwept]) -> PgwatchError:
    if len(not_swept) == 1:
        return errors[0]
    reasons = "; ".join(f"{one.database}: {one.reason}" for one in not_swept)
    return type(errors[0])(f"no database was swept: {reasons}")
