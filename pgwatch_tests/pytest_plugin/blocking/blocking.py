"""The plugin's part on blocked time: it has a sampler run beside the suite, and tells what that saw.

The sampler's journal is a file, so that a worker can tell in a test's failure what the tests of the others
held, and the controller what a worker waited for that was killed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import psycopg
import pytest

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.locks.watch.wait_history import WaitHistory
from pgwatch_tests.locks.watch.wait_journal import JournalReader, JournalWait, Side
from pgwatch_tests.pytest_plugin.blocking import blocked_time, failure_section
from pgwatch_tests.pytest_plugin.blocking.deadlocked_sessions import still_there
from pgwatch_tests.pytest_plugin.blocking.failure_section import Failure
from pgwatch_tests.pytest_plugin.blocking.lock_errors import LockError, lock_errors
from pgwatch_tests.pytest_plugin.blocking.sampler_process import SamplerFiles, SamplerProcess
from pgwatch_tests.pytest_plugin.blocking.self_wait import LASTS_S, self_wait
from pgwatch_tests.pytest_plugin.blocking.words import TestNames
from pgwatch_tests.pytest_plugin.reports.summary import Section
from pgwatch_tests.testing.connections.commits import ServedDatabase
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.text.plain_text import plain

if TYPE_CHECKING:
    from pgwatch_tests.pytest_plugin.active import ActivePlugin

WAITS_VARIABLE = "PGWATCH_WAITS"
"""The environment variable by which a recorder that watches already names its journal of waits."""

TITLE = "pgwatch: who held what"
_RUNNER = "pytest"
DSN_ATTRIBUTE = "pgwatch_dsn"
"""Of a report of a worker: where its tests connect to, for the controller, if nothing else tells."""
_OF_LIBPQ = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGDATABASE")
_MOST_BLOCKERS = 5
_POLL_TO_COME_S = 0.4
_LOOK_AGAIN_S = 0.02
_MOST_ENDED = 1_000


class Blocking:
    """Hooks of all processes of a run: workers, the controller, or the only one."""

    def __init__(self, active: ActivePlugin) -> None:
        self._active = active
        shared = active.shared
        self._is_controller = not shared.worker
        given = os.environ.get(WAITS_VARIABLE)
        self._files = SamplerFiles.of(Path(shared.log_directory), shared.session)
        self._reader = JournalReader(Path(given) if given else self._files.journal)
        self._history = WaitHistory()
        self._names = TestNames()
        self._process: SamplerProcess | None = None
        self._has_libpq = any(os.environ.get(name) for name in _OF_LIBPQ)
        self._starts = self._is_controller and not given and not active.config.option.collectonly
        self._began: dict[str, float] = {}
        """When the present attempt of each test that runs here began."""
        self._ran_at: dict[str, float] = {}
        """When its last statement was sent, whichever of its sessions ran it, by `perf_counter`: with many
        statements, the real time would be most of what the plugin takes for each."""
        self._reported: dict[str, float] = {}
        """Seconds that were told of each test already, by the name of its sessions."""
        self._ended: dict[tuple[str, str], list[float]] = {}
        """When set-up, call and tear-down of the last tests ended, by worker and id."""
        self._undo: list[Callable[[], None]] = []
        self._looked_at = 0.0
        self._told_waits: set[int] = set()
        """The waits of tests for themselves that were told of already."""
        active.began.append(self._begin)
        active.failed.append(self._explain_failure)
        active.ended.append(self._tell_self_waits)
        if self._is_controller:
            active.reported.append(self._add_blocked_time)
            active.sections.append(self._section)

    # The sampler.

    def pytest_sessionstart(self) -> None:
        """Starts the sampler's process, which gets ready while tests are collected."""
        self._undo.append(self._active.commits.listen_to_statements(self._ran))
        if self._starts:
            self._process = SamplerProcess(self._files)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learns the tests of this process."""
        self._names.add(item.nodeid for item in session.items)
        if session.items:
            self._watch()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Learns the tests of a worker."""
        self._names.add(ids)
        self._watch()

    def pytest_sessionfinish(self) -> None:
        """Listens to statements no more."""
        while self._undo:
            self._undo.pop()()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Ends the sampler, if the session hasn't."""
        self._stop()

    def _ran(self, owner: Owner, _database: ServedDatabase, _text: str) -> None:
        self._ran_at[owner.name] = perf_counter()

    def _watch(self, dsn: str | None = None) -> None:
        """Has the sampler watch the run's database, once it is known."""
        process = self._process
        if process is None or process.is_watching:
            return
        if dsn is None:
            dsn = self._active.dsn()
        if dsn is None and self._has_libpq:
            dsn = ""
        if dsn is not None:
            process.watch(dsn, "the database of the tests", self._names)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    # Failures.

    def _begin(self, owner: Owner) -> None:
        """Notes when an attempt of a test begins."""
        if owner.kind == "test":
            self._began[owner.name] = _now_s()
            self._ran_at.clear()

    def _explain_failure(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, at: float
    ) -> None:
        """Adds to a failure who held what its test waited for."""
        try:
            if call.excinfo is not None and report.failed:
                self._explain(item, report, call.excinfo.value, at)
        except Exception as error:  # noqa: BLE001
            self._active.not_checked(f"who held what: an error of pgwatch-tests itself: {error!r}")

    def _explain(
        self, item: pytest.Item, report: pytest.TestReport, raised: BaseException, at: float
    ) -> None:
        errors = lock_errors(raised)
        name = compose(_RUNNER, self._active.shared.worker, item.nodeid)
        for error in errors:
            self._learn_circle(error, name)
        self._catch_up(until=at if errors else None)
        began = self._began.get(item.nodeid, 0.0)
        ran = self._ran_at.get(item.nodeid)
        ran_at = None if ran is None else _now_s() - (perf_counter() - ran)
        failure = Failure(name, began, at, errors, ran_at)
        lines = failure_section.lines_of(self._history, self._names, failure)
        if lines:
            add_section(report, TITLE, "\n".join(lines))
            # JUnit files have those of the tear-down, whose report is still to come.
            item.user_properties.append(("pgwatch.waited_for", " ".join(lines[:2])))

    def _learn_circle(self, error: LockError, name: str) -> None:
        """Learns who the sides of a deadlock are: right now their transactions still go on."""
        dsn = self._active.dsn()
        if not error.circle or dsn is None:
            return
        victim, *others = error.circle
        self._history.add_sides([Side(victim, name)], _now_s())
        with suppress(PgwatchError, psycopg.Error):
            self._history.add_sides(still_there(dsn, victim, others).values(), _now_s())

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Adds to the report of a test whose worker is lost what it waited for, as it was seen last."""
        worker = str(getattr(getattr(getattr(report, "node", None), "gateway", None), "id", ""))
        name = compose(_RUNNER, worker, crashitem)
        self._catch_up()
        last = next((seen for seen in self._history.waits if seen.wait.waiter.name == name), None)
        if last is None:
            return
        failure = Failure(name, 0.0, max(last.seen_at, *self._history.polls), ())
        lines = failure_section.lines_of(self._history, self._names, failure)
        if lines:
            title = f"{worker or 'the worker'} was lost while the test waited:"
            add_section(report, TITLE, "\n".join([title, *lines]))
        finding = self_wait(Owner("test", crashitem, worker), self._names, last)
        if finding is not None:
            self._active.found(finding)

    def _tell_self_waits(self, owner: Owner) -> None:
        """Tells where a session of a test that is over has waited for another one of the same test."""
        if owner.kind != "test":
            return
        began = self._began.get(owner.name, 0.0)
        if _now_s() - began < LASTS_S:
            return  # neither has it waited for that long
        if self._reader.has_more:
            self._catch_up()
        newest = next(iter(self._history.waits), None)
        if newest is None or newest.seen_at < began:
            return
        name = compose(_RUNNER, owner.worker, owner.name)
        self._history.end(name, _now_s())
        for seen in self._history.waits:
            if seen.seen_at < began:
                break
            number = seen.wait.number
            if seen.wait.waiter.name == name and number not in self._told_waits:
                finding = self_wait(owner, self._names, self._history.so_far(seen))
                if finding is not None:
                    self._told_waits.add(number)
                    self._active.found(finding)

    # Blocked time.

    def _add_blocked_time(self, report: pytest.TestReport) -> None:
        """Adds the blocked time of a test to its report, so that it is in JUnit files."""
        dsn = report.__dict__.pop(DSN_ATTRIBUTE, None)
        if self._process is not None and not self._process.is_watching:
            self._watch(dsn)
        node = getattr(report, "node", None)
        worker = str(getattr(getattr(node, "gateway", None), "id", ""))
        nodeid = report.nodeid
        self._ended.setdefault((worker, nodeid), []).append(report.stop)
        if report.when != "teardown":
            return
        self._keep_up()
        if not self._history.has_waits:
            return
        name = compose(_RUNNER, worker, nodeid)
        total = self._history.sum_of(name)
        if total is None:
            return
        blocked_s = total.blocked_s - self._reported.get(name, 0.0)
        self._reported[name] = total.blocked_s
        if blocked_s >= blocked_time.WORTH_TELLING_S and total.longest is not None:
            roots = sorted(total.by_root, key=lambda root: -total.by_root[root])
            by = [blocked_time.named(root, self._names) for root in roots[:_MOST_BLOCKERS]]
            report.user_properties += [
                ("pgwatch.blocked_s", f"{blocked_s:.2f}"),
                (
                    "pgwatch.blocked_by",
                    ", ".join(by),
                ),
                ("pgwatch.blocked_on", plain(total.longest.wait.target)),
            ]

    def _section(self) -> Section | None:
        """The section of the summary; ends the sampler, so that its journal is whole."""
        self._stop()
        self._catch_up()
        trouble = ""
        if self._process is not None:
            trouble = self._process.trouble
            if not trouble and not self._history.polls:
                reason = self._history.trouble
                trouble = reason.reason if reason else ""
        return blocked_time.section(self._history, self._names, trouble)

    def _keep_up(self) -> None:
        """Reads what is new, unless the only test that ran since was too short to be blocked for long."""
        if not self._history.open:
            now = _now_s()
            if now - self._looked_at < blocked_time.WORTH_TELLING_S and not self._active.has_workers:
                return
            self._looked_at = now
        # A wait that is open ends with its test at the latest, also where nothing more is in the journal.
        if self._history.open or self._reader.has_more:
            self._catch_up()

    def _catch_up(self, until: float | None = None) -> None:
        """Reads what is new in the journal; with `until`, waits a moment for a poll that is that late."""
        self._read()
        if until is None or not self._history.polls:
            return
        deadline = _now_s() + _POLL_TO_COME_S
        while self._history.polls[-1] < until and _now_s() < deadline:
            _pause(_LOOK_AGAIN_S)
            self._read()

    def _read(self) -> None:
        entries = list(self._reader.read())
        # Names take a while to compose: most tests never wait.
        if self._history.open or any(isinstance(entry, JournalWait) for entry in entries):
            for (worker, test), ends in self._ended.items():
                name = compose(_RUNNER, worker, test)
                for at in ends:
                    self._history.end(name, at)
            self._ended.clear()
        while len(self._ended) > _MOST_ENDED:
            del self._ended[next(iter(self._ended))]
        self._history.add(entries)


def _now_s() -> float:
    return real_time_ns() / 1e9


def _pause(seconds: float) -> None:
    # Not time.sleep, which a test may have replaced.
    threading.Event().wait(seconds)


def add_section(report: pytest.TestReport, title: str, text: str) -> None:
    """Adds a section to a failure, where it is shown and in JUnit files: at the end of its traceback."""
    add = getattr(report.longrepr, "addsection", None)
    if callable(add):
        add(title, text)
    elif isinstance(report.longrepr, str):
        report.longrepr += f"\n--- {title} ---\n{text}"
    else:
        report.sections.append((title, text))
