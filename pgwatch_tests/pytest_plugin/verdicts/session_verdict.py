"""The verdict on a session as a whole: what is left in the end, and no test's own verdict has told.

A baseline is taken right before the first test. In the end, rows that are newer than it are put down to
whoever committed their transaction; where nobody is known to, to whoever may have, as one of several. Who
lost rows of the baseline is told by the transactions that rows bear, and by what tests' statements say.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.leaks.baseline.baseline import Baseline
from pgwatch_tests.leaks.baseline.baseline_reader import take
from pgwatch_tests.leaks.baseline.changes_since import find_changes_since
from pgwatch_tests.leaks.baseline.comparison import Comparison, Since
from pgwatch_tests.leaks.leftovers import Leftovers, look
from pgwatch_tests.leaks.model import LeftoverKind
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.dsn import in_database
from pgwatch_tests.postgres.connections.maintenance_database import MAINTENANCE_DATABASE
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.pytest_plugin.journal import read_journals
from pgwatch_tests.pytest_plugin.reports.summary import Section
from pgwatch_tests.pytest_plugin.verdicts.claims import Claims
from pgwatch_tests.pytest_plugin.verdicts.look import (
    FoundRows,
    RowsWanted,
    Shapes,
    Writes,
    find_rows,
    read_counters,
)
from pgwatch_tests.pytest_plugin.verdicts.transactions.transaction_logs import complete
from pgwatch_tests.pytest_plugin.verdicts.verdict_session import served, ways_to
from pgwatch_tests.pytest_plugin.verdicts.whose import Whose
from pgwatch_tests.settings.load import Dsn, Flags, Settings, load
from pgwatch_tests.testing.connections.commits import ServedDatabase
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.testing.leases import run

if TYPE_CHECKING:
    from pgwatch_tests.pytest_plugin.active import ActivePlugin

_KINDS: tuple[LeftoverKind, ...] = ("schema", "prepared_transaction", "lost_rows")
# Nobody waits longer for the end of a session, or its start.
_COUNT_TIMEOUT_S = 20.0
_CONNECT_TIMEOUT_S = 3.0
_MOST_BYTES_OF_CONTENT = 64 << 20
_MOST_ROWS = 5_000
_TABLES_AT_ONCE = 20
_SIZE = (
    "SELECT coalesce(pg_catalog.sum(pg_catalog.pg_relation_size(oid)), 0)::bigint FROM pg_catalog.pg_class"
    " WHERE relkind OPERATOR(pg_catalog.=) 'r' AND oid OPERATOR(pg_catalog.>=) 16384"
)


class SessionVerdict:
    """Hooks of the controller, or of the only process."""

    def __init__(self, active: ActivePlugin) -> None:
        self._active = active
        self._baseline: Baseline | None = None
        self._database: ServedDatabase | None = None
        self._settings: Settings | None = None
        self._why_no_baseline = ""
        self._lease = ExitStack()
        self._found: dict[ServedDatabase, Sequence[FoundRows]] = {}
        active.sections.append(self._judge)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Takes the baseline once all tests are collected, and none has begun."""
        if not session.config.option.collectonly:
            try:
                self._begin()
            except Exception as error:  # noqa: BLE001
                # Without it the suite runs as well; the end will tell.
                self._active.not_checked(f"what the session left as a whole: {error}")
        return (yield)

    def _begin(self) -> None:
        dsn = self._active.dsn()
        if dsn is None:
            return
        settings = load(Flags(dsn=dsn), start=Path(self._active.config.rootpath))
        self._settings = settings = replace(
            settings,
            dsn=Dsn(dsn, "the database of the tests"),
            count_timeout_s=_COUNT_TIMEOUT_S,
            connect_timeout_s=_CONNECT_TIMEOUT_S,
        )
        try:
            self._database = served(dsn)
        except PgwatchError as error:
            # It may be made by a fixture that is yet to run.
            self._settings = None
            self._why_no_baseline = str(error)
            return
        self._hold_lease(dsn)
        self._baseline = take(settings, content=self._is_small(settings))

    def _hold_lease(self, dsn: str) -> None:
        """Holds the run's lease, in the maintenance database, where it is in nobody's way.

        Whoever started the suite, such as `pgwatch-tests run`, may hold it already.
        """
        place = in_database(Dsn(dsn, "the settings"), MAINTENANCE_DATABASE)
        try:
            self._lease.enter_context(run(place.value))
        except PgwatchError as error:
            reason = f"no lease is held for this run, so a sweep may take its rows once they are old: {error}"
            self._active.found(Finding("not_checked", None, reason, fails=False))

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Gives the lease back."""
        self._lease.close()

    def _is_small(self, settings: Settings) -> bool:
        """Whether the content of all tables is small enough to be read twice."""
        with closing(DatabaseSession(settings)) as session:
            session.open()
            [size] = session.fetch_values(_SIZE.encode(), int)
        if size > _MOST_BYTES_OF_CONTENT:
            self._active.found(
                Finding(
                    "not_checked",
                    None,
                    f"which rows that were there before are lost or changed: {size >> 20} MB of tables are "
                    f"more than the {_MOST_BYTES_OF_CONTENT >> 20} MB that are read beforehand",
                    "`pgwatch-tests baseline --content` and `leaks --since` compare databases of any size",
                    fails=False,
                )
            )
        return size <= _MOST_BYTES_OF_CONTENT

    def _judge(self) -> Section | None:
        """Tells what is left. Returns no section: all of it are findings."""
        shared = self._active.shared
        records = read_journals(Path(shared.log_directory), shared.session)
        claims = Claims.of(records)
        if self._settings is not None and self._database is not None:
            ways = ways_to(self._database, self._settings.dsn.value, claims.databases)
            claims = claims.with_one_name(ways)
        whose = Whose(claims, self._active.locations, shared.run)
        if self._settings is not None and self._baseline is not None and self._database is not None:
            try:
                self._judge_database(self._settings, self._baseline, self._database, whose)
            except (PgwatchError, psycopg.Error) as error:
                self._tell_unchecked(str(error).splitlines()[0])
        elif claims.claims:
            why = self._why_no_baseline or "no database was known before the first test: give --pgwatch-dsn"
            self._tell_unchecked(why, fails=False)
        complete(self._active, claims, self._found)
        return None

    def _tell_unchecked(self, why: str, *, fails: bool = True) -> None:
        reason = f"what the session left as a whole, beside what each test's own transactions did: {why}"
        self._active.found(Finding("not_checked", None, reason, fails=fails))

    def _judge_database(
        self, settings: Settings, baseline: Baseline, database: ServedDatabase, whose: Whose
    ) -> None:
        with closing(DatabaseSession(settings)) as session:
            session.open()
            comparison = Comparison(session, Since(baseline, any_rows=True))
            found = session.run(lambda connection: _new_rows(connection, baseline))
            self._found[database] = found
            for one in found:
                if one.why_not:
                    self._active.not_checked(f"{one.shape.name}: {one.why_not}")
            for finding in whose.findings_of_rows(database, found, baseline):
                self._active.found(finding)
            role = session.identity().role
            kinds = [kind for kind in _KINDS if kind != "lost_rows" or baseline.content is not None]
            left = look(session, settings, role, kinds, baseline)
            since = find_changes_since(session, settings, role, kinds, baseline, comparison)
            self._tell_leftovers(database, left.beside(since.leftovers), found, whose)

    def _tell_leftovers(
        self,
        database: ServedDatabase,
        left: Leftovers,
        found: Sequence[FoundRows],
        whose: Whose,
    ) -> None:
        for one in left.found:
            if one.kind == "lost_rows":
                self._active.found(whose.finding_of_loss(database, one, found))
            elif one.kind == "schema":
                reason = f"schema {one.name} is left over ({one.detail})"
                self._active.found(Finding("schema", None, reason, "drop it where it was made"))
            elif one.kind == "prepared_transaction":
                reason = f"transaction {one.name!r} is prepared, and neither committed nor rolled back"
                advice = "COMMIT PREPARED or ROLLBACK PREPARED it in the test's tear-down"
                self._active.found(Finding("prepared_transaction", None, reason, advice))
        for unchecked in left.unchecked:
            self._active.not_checked(f"{unchecked.kind}: {unchecked.reason}", advice=unchecked.hint)


def _new_rows(connection: OwnConnection, baseline: Baseline) -> list[FoundRows]:
    """Returns the rows that are newer than the baseline, of all tables that may have been written to."""
    counters = read_counters(connection)
    tables = list(counters.tables.values())
    found: list[FoundRows] = []
    for some in _parts(tables):
        shapes = Shapes().of(connection, some)
        found += find_rows(connection, shapes, RowsWanted(since=baseline.xmin), most=_MOST_ROWS)
    return found


def _parts(tables: Sequence[Writes]) -> Iterable[Sequence[Writes]]:
    for start in range(0, len(tables), _TABLES_AT_ONCE):
        yield tables[start : start + _TABLES_AT_ONCE]
