"""The removal of a test's or a run's own rows, by their markers, and with the plugin by their transactions.

    from pgwatch_tests.testing import cleanup_test

    cleanup_test("postgresql://localhost/app_test")

It is a sweep of these rows alone, of any age: with the rows that depend on them, in the order of foreign
keys, in a database that is there for tests, and of nobody else's. The marker is the test's hash, or the
run's id, in a value. Rows without one that don't belong to a marked one stay, unless the plugin knows that
the test's transactions have inserted them; so do real ones, and what hangs together with another test's. It
waits for no other sweep.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from pgwatch_tests.errors import ConfigurationError, NotCheckedError
from pgwatch_tests.settings.load import Flags, Settings, load
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from pgwatch_tests.testing.current_test import current
from pgwatch_tests.testing.identifiers import run_id
from pgwatch_tests.testing.own_transactions import own_transactions
from pgwatch_tests.testing.removed_rows import RemovedRows, StayingRows, tell


def cleanup_test(dsn: str | None = None, *, test: str | None = None) -> RemovedRows:
    """Removes the rows of a test in this run. Returns what went, and what stays and why.

    `dsn` is the database, by default that of the settings (PGWATCH_DSN, DATABASE_URL …); `test` is its id, by
    default that of the test that runs. Raises ConfigurationError where none runs, RefusedError for a database
    that isn't one of tests, CannotConnectError, ConnectionLostError, and NotCheckedError where the removal
    ended early.
    """
    return remove_own(dsn, run_id(), _running_test() if test is None else test)


def cleanup_run(dsn: str | None = None, *, run: str | None = None) -> RemovedRows:
    """Removes the rows of all tests of a run: of this one, unless `run` says another. As `cleanup_test`.

    Of another run whose lease is held nothing is removed.
    """
    if run is None or run == run_id():
        return remove_own(dsn, run_id())
    return _remove(load(Flags(dsn=dsn), start=Path.cwd()), SweepRequest(run=run))


def remove_own(dsn: str | None, run: str, test: str | None = None) -> RemovedRows:
    """Removes rows of a run, or of one of its tests, on its own behalf: its lease keeps nothing."""
    settings = load(Flags(dsn=dsn), start=Path.cwd())
    request = SweepRequest(run=run, test=test, is_own=True)
    marked = _remove(settings, request)
    place = settings.dsn.value
    own = own_transactions(place, test) if test is not None and place is not None else {}
    if not own:
        return marked
    # What kept a marked row may be of these.
    others = _remove(settings, replace(request, own_transactions=own))
    return replace(marked + others, staying=others.staying, not_checked=others.not_checked)


async def acleanup_test(dsn: str | None = None, *, test: str | None = None) -> RemovedRows:
    """Does what `cleanup_test` does, in a thread."""
    test = _running_test() if test is None else test
    return await asyncio.to_thread(cleanup_test, dsn, test=test)


async def acleanup_run(dsn: str | None = None, *, run: str | None = None) -> RemovedRows:
    """Does what `cleanup_run` does, in a thread."""
    return await asyncio.to_thread(cleanup_run, dsn, run=run)


class _Cleaned:
    """A block after which rows are removed, for `with` and `async with`. RowsStayError tells what stays."""

    def __init__(self, remove: Callable[[], RemovedRows]) -> None:
        self._remove = remove

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tell(self._remove(), error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tell(await asyncio.to_thread(self._remove), error)


def cleaned_test(dsn: str | None = None, *, test: str | None = None) -> _Cleaned:
    """Returns a block for `with` or `async with`, after which `cleanup_test` removes the test's rows."""
    test = _running_test() if test is None else test
    return _Cleaned(lambda: cleanup_test(dsn, test=test))


def cleaned_run(dsn: str | None = None, *, run: str | None = None) -> _Cleaned:
    """Returns a block for `with` or `async with`, after which `cleanup_run` removes the run's rows."""
    return _Cleaned(lambda: cleanup_run(dsn, run=run))


def _remove(settings: Settings, request: SweepRequest) -> RemovedRows:
    request = replace(request, kinds=("rows",), dry_run=False, min_age_s=0.0)
    report = Sweep(settings, request).run()
    if report.error:
        raise NotCheckedError(f"the removal of rows ended early: {report.error}")
    return _outcome(report)


def _outcome(report: SweepReport) -> RemovedRows:
    removed = {f"{table.schema}.{table.table}": table.total for table in report.deleted}
    staying = tuple(
        StayingRows(
            f"{kept.schema}.{kept.table}" if kept.table else "",
            kept.rows,
            kept.detail or kept.reason.replace("_", " "),
        )
        for kept in report.kept
    )
    return RemovedRows(removed, staying, report.not_checked)


def _running_test() -> str:
    if (owner := current()) is not None:
        name = owner.name if owner.kind == "test" else ""
    else:
        name = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    if not name:
        raise ConfigurationError("no test runs here: name it, cleanup_test(dsn, test=…)")
    return name
