"""The plugin that is on: it tells whose connections and commits are whose, and logs them.

Its parts listen to it: each hook of a part's own would cost every test as much as the rest of the part.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.pytest_plugin import Mode
from pgwatch_tests.pytest_plugin.blocking.blocking import DSN_ATTRIBUTE, Blocking
from pgwatch_tests.pytest_plugin.blocking.interference_watch import InterferenceWatch
from pgwatch_tests.pytest_plugin.connections import Connections
from pgwatch_tests.pytest_plugin.journal import Journal
from pgwatch_tests.pytest_plugin.reports.accepting import Accepting
from pgwatch_tests.pytest_plugin.reports.finding_journal import Noted, record_of
from pgwatch_tests.pytest_plugin.reports.ignoring import Ignore, ignores_of
from pgwatch_tests.pytest_plugin.reports.report_options import ReportOptions
from pgwatch_tests.pytest_plugin.reports.summary import AskForSection, in_words
from pgwatch_tests.pytest_plugin.shared_run import SharedRun
from pgwatch_tests.pytest_plugin.verdicts.transactions.open_transactions import OpenTransactions
from pgwatch_tests.pytest_plugin.verdicts.transactions.transaction_logs import TransactionLogs
from pgwatch_tests.pytest_plugin.verdicts.worker import WorkerVerdicts
from pgwatch_tests.settings.load import Flags, load
from pgwatch_tests.testing import findings
from pgwatch_tests.testing.connections.commits import Commit, Commits
from pgwatch_tests.testing.current_test import Owner, running, switch_to, track_threads_and_tasks
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.text.plain_text import plain


@dataclass(slots=True)
class _TestRun:
    """An attempt of a test, until its own fixtures are torn down."""

    item: pytest.Item
    owner: Owner
    ignores: tuple[Ignore, ...] = ()
    before: Owner | None = None
    """Whom the process has worked for."""
    has_finalizer: bool = False
    failing: list[Finding] = field(default_factory=list)
    """What its tear-down is to fail on."""


_PROPERTY = "pgwatch."

OwnerListener = Callable[[Owner], None]
FailureListener = Callable[[pytest.Item, pytest.CallInfo[None], pytest.TestReport, float], None]


def activate(config: pytest.Config, mode: Mode) -> None:
    """Registers the plugin's parts."""
    active = ActivePlugin(config, mode)
    config.pluginmanager.register(active, "pgwatch-active")
    connections = Connections(active)
    config.pluginmanager.register(connections, "pgwatch-connections")
    config.pluginmanager.register(Blocking(active), "pgwatch-blocking")
    config.pluginmanager.register(InterferenceWatch(active), "pgwatch-interference")
    logs = TransactionLogs(active)
    if logs.are_kept:
        config.pluginmanager.register(logs, "pgwatch-transaction-logs")
    config.pluginmanager.register(WorkerVerdicts(active, logs), "pgwatch-verdicts")
    config.pluginmanager.register(OpenTransactions(active, connections), "pgwatch-open-transactions")
    if not active.shared.worker:
        # Workers do without what these import.
        from pgwatch_tests.pytest_plugin.reports.session_report import SessionReport
        from pgwatch_tests.pytest_plugin.verdicts.session_verdict import SessionVerdict

        config.pluginmanager.register(SessionVerdict(active), "pgwatch-session-verdict")
        config.pluginmanager.register(SessionReport(active), "pgwatch-report")


class ActivePlugin:
    """Hooks that put what happens in the database down to tests and fixtures."""

    def __init__(self, config: pytest.Config, mode: Mode) -> None:
        self.config = config
        self.mode = mode
        self.options = ReportOptions.of(config)
        try:
            ignore = load(Flags(), start=Path(config.rootpath)).ignore
            self._accepting = Accepting(ignore, self.options.accept)
            self.shared = SharedRun.of(config)
        except PgwatchError as error:
            raise pytest.UsageError(str(error)) from None
        self.commits = Commits()
        self.began: list[OwnerListener] = []
        """Called with each of them right before its set-up."""
        self.ended: list[OwnerListener] = []
        """Called with each test, and each fixture wider than one, right after its own tear-down."""
        self.prepared: list[Callable[[], None]] = []
        """Called when the fixtures of a test are set up."""
        self.failed: list[FailureListener] = []
        """Called with each report of a test that raised or hasn't passed, before anybody else gets it, and
        with when that was: seconds since 1970."""
        self.left: list[Callable[[], None]] = []
        """Called when pytest is done with an item, all attempts of it."""
        self.reported: list[Callable[[pytest.TestReport], None]] = []
        """Called in the controller with the reports of all tests."""
        self.locations: dict[str, tuple[str, int]] = {}
        """File and line of each test that has run, in the controller."""
        self.item: pytest.Item | None = None
        """The item that runs, all attempts of it."""
        self.next_item: pytest.Item | None = None
        self.sections: list[AskForSection] = []
        """Asked in the controller, once all tests are over."""
        self.journal = Journal(Path(self.shared.log_directory), self.shared.session, self.shared.worker)
        self.unwritten: list[Noted] = []
        """The controller's own, where its journal can't be written."""
        self._runs: dict[int, _TestRun] = {}
        self._run: _TestRun | None = None
        """The last attempt that began."""
        self.told_dsn: str | None = None
        """Where this process's tests have committed, as their driver tells it: it may hold a password."""
        self._untold_dsn: str | None = None
        """The same, as long as the controller hasn't been told."""
        self._undo: list[Callable[[], None]] = []
        self._stop_listening = findings.listen(self.found)

    def pytest_sessionstart(self) -> None:
        """Has threads and tasks belong to whoever starts them."""
        self._undo += [track_threads_and_tasks(), self.commits.listen(self._remember_dsn)]

    def pytest_sessionfinish(self) -> None:
        """Undoes that."""
        while self._undo:
            self._undo.pop()()

    def pytest_unconfigure(self) -> None:
        """Closes the journal, and removes the logs if nobody asked for them."""
        self._stop_listening()
        self.journal.close()
        self.shared.remove_logs()

    def found(self, finding: Finding) -> None:
        """Takes a finding, in any process of the run, at any time, from any thread.

        It is told at the end of the session; where its test is still in its tear-down and `--pgwatch=fail`
        is on, the test fails on it.
        """
        run = None if finding.owner is None else self._runs.get(finding.owner.number)
        ignored = None
        if run is not None and finding.kind != "not_checked":
            ignored = next((one.reason for one in run.ignores if one.covers(finding)), None)
        ignored = ignored or self._accepting.reason(finding)
        try:
            self.journal.note("finding", record_of(Noted(finding, ignored)))
        except OSError as error:
            if self.shared.worker:
                warnings.warn(f"not told at the end: {finding.reason}: {error}", stacklevel=1)
            else:
                self.unwritten.append(Noted(finding, ignored))
        if run is not None and ignored is None and finding.kind != "not_checked":
            run.failing.append(finding)

    @property
    def has_workers(self) -> bool:
        """Whether this process is the controller of pytest-xdist's workers, and runs no tests itself."""
        return self.config.pluginmanager.hasplugin("dsession")

    def not_checked(self, reason: str, owner: Owner | None = None, advice: str = "") -> None:
        """Tells that something couldn't be checked: with `--pgwatch=fail`, the run doesn't pass."""
        self.found(Finding("not_checked", owner, reason, advice))

    def dsn(self) -> str | None:
        """The database of the run: of the option, the environment or the settings; else where this process's
        tests have committed. It may hold a password. None: nothing tells.
        """
        return self._given_dsn or self.told_dsn

    @cached_property
    def _given_dsn(self) -> str | None:
        try:
            flags = Flags(dsn=self.config.getoption("--pgwatch-dsn"))
            return load(flags, start=Path(self.config.rootpath)).dsn.value
        except PgwatchError:
            return None

    def _remember_dsn(self, commit: Commit) -> None:
        if self.told_dsn is None:
            self.told_dsn = commit.database.dsn or None
            if self.shared.worker:
                self._untold_dsn = self.told_dsn

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: object) -> None:
        """Hands the run to a worker of pytest-xdist."""
        workerinput = getattr(node, "workerinput", None)
        if isinstance(workerinput, dict):
            self.shared.hand_to(workerinput)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Knows which item runs, and which is the next."""
        self.item, self.next_item = item, nextitem
        try:
            return (yield)
        finally:
            for listener in self.left:
                listener()
            self.item = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        """From here on, a test runs: each attempt of pytest-rerunfailures is another owner."""
        __tracebackhide__ = True
        attempt = int(getattr(item, "execution_count", 1))
        owner = Owner("test", item.nodeid, self.shared.worker, attempt)
        self._run = run = _TestRun(item, owner, ignores_of(item))
        for one in run.ignores:
            self.journal.note("ignore", {"test": owner.name, "reason": one.reason, "tables": one.tables})
        self._runs[owner.number] = run
        self._call(self.began, owner)
        if item.user_properties:
            # Those of the attempt before.
            item.user_properties[:] = [
                one for one in item.user_properties if not one[0].startswith(_PROPERTY)
            ]
        run.before = switch_to(owner)
        yield
        self._end_after_fixtures(run)
        for listener in self.prepared:
            listener()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None]:
        """Ends a test, if only its set-up failed before its own fixtures began; fails it on its findings."""
        __tracebackhide__ = True
        run = self._run
        try:
            yield
        except BaseException:
            if run is not None:
                self._end(run)
                self._tell_beside(item, run)
            raise
        if run is not None:
            self._end(run)
            if run.failing:
                failing = [one for one in run.failing if one.fails] if self.mode == "fail" else []
                self._tell_beside(item, run, besides=failing)
                if failing:
                    pytest.fail("\n".join(map(plain, in_words(failing))), pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Has the parts add what they know to the report of a test that failed."""
        # A traceback takes a while to make; what comes meanwhile has nothing to do with the failure.
        at = 0.0 if call.excinfo is None else real_time_ns() / 1e9
        report = yield
        if call.excinfo is not None or report.outcome != "passed":
            for listener in self.failed:
                listener(item, call, report, at or real_time_ns() / 1e9)
        if self._untold_dsn is not None and report.when != "call":
            # A worker's: in memory, since it may hold a password.
            setattr(report, DSN_ATTRIBUTE, self._untold_dsn)
            self._untold_dsn = None
        return report

    def _tell_beside(self, item: pytest.Item, run: _TestRun, besides: Sequence[Finding] = ()) -> None:
        """Puts a test's findings into JUnit's properties, and its report, `besides` those it fails on."""
        for one in run.failing:
            item.user_properties.append((f"{_PROPERTY}{one.kind}", _in_words(one)))
        others = [_in_words(one) for one in run.failing if one not in besides]
        if others:
            item.add_report_section("teardown", "pgwatch", "\n".join(others))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """What a fixture wider than a test does, from its set-up to its tear-down, is its own."""
        __tracebackhide__ = True
        run = self._run
        if run is not None and request.node is run.item:
            if not run.has_finalizer:
                self._end_after_fixtures(run)
            return (yield)
        owner = Owner("fixture", _name(fixturedef), self.shared.worker)
        self._call(self.began, owner)
        ending = ExitStack()
        # Finalizers run last first: these after the fixture's own, the one below before it.
        fixturedef.addfinalizer(lambda: self._end_owner(owner))
        fixturedef.addfinalizer(ending.close)
        try:
            with running(owner):
                return (yield)
        finally:
            fixturedef.addfinalizer(lambda: ending.enter_context(running(owner)))

    def _end_after_fixtures(self, run: _TestRun) -> None:
        """Has a test end after its own fixtures, and before wider ones that are torn down with it.

        Otherwise the last test of a module would be judged after the module's clean-up, the others before.
        """
        if not run.has_finalizer:
            run.has_finalizer = True
            run.item.addfinalizer(lambda: self._end(run))

    def _end(self, run: _TestRun) -> None:
        if not run.owner.has_ended:
            switch_to(run.before)
            self._end_owner(run.owner)

    def _end_owner(self, owner: Owner) -> None:
        if not owner.has_ended:
            owner.end()
            self._call(self.ended, owner)

    def _call(self, listeners: Sequence[OwnerListener], owner: Owner) -> None:
        """Calls listeners. What one raises is told instead: it doesn't change the outcome of a test."""
        for listener in listeners:
            try:
                listener(owner)
            except Exception as error:  # noqa: BLE001
                self.not_checked(f"an error of pgwatch-tests itself: {error!r}", owner)


def _in_words(finding: Finding) -> str:
    text = f"{finding.reason} → {finding.advice}" if finding.advice else finding.reason
    return plain(text)


def _name(fixturedef: pytest.FixtureDef[object]) -> str:
    """Returns `fixture users [session] of tests/conftest.py`."""
    of = f" of {fixturedef.baseid}" if fixturedef.baseid else ""
    return f"fixture {fixturedef.argname} [{fixturedef.scope}]{of}"
