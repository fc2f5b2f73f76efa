"""The plugin that is on: it tells whose connections and commits are whose, and logs them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.pytest_plugin import Mode
from pgwatch_tests.pytest_plugin.blocking.blocking import Blocking
from pgwatch_tests.pytest_plugin.blocking.interference_watch import InterferenceWatch
from pgwatch_tests.pytest_plugin.connections import Connections
from pgwatch_tests.pytest_plugin.journal import Journal
from pgwatch_tests.pytest_plugin.reports.accepting import Accepting
from pgwatch_tests.pytest_plugin.reports.finding_journal import Noted, record_of
from pgwatch_tests.pytest_plugin.reports.ignoring import Ignore, ignores_of
from pgwatch_tests.pytest_plugin.reports.report_options import ReportOptions
from pgwatch_tests.pytest_plugin.reports.summary import AskForSection, in_words
from pgwatch_tests.pytest_plugin.shared_run import SharedRun
from pgwatch_tests.pytest_plugin.verdicts.open_transactions import OpenTransactions
from pgwatch_tests.pytest_plugin.verdicts.transaction_logs import TransactionLogs
from pgwatch_tests.pytest_plugin.verdicts.worker import WorkerVerdicts
from pgwatch_tests.settings.load import Flags, load
from pgwatch_tests.testing import findings
from pgwatch_tests.testing.connections.commits import Commit, Commits
from pgwatch_tests.testing.current_test import Owner, running, track_threads_and_tasks
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.text.plain_text import plain


@dataclass(slots=True)
class _TestRun:
    """An attempt of a test, until its own fixtures are torn down."""

    owner: Owner
    ignores: tuple[Ignore, ...] = ()
    stack: ExitStack = field(default_factory=ExitStack)
    has_finalizer: bool = False
    failing: list[Finding] = field(default_factory=list)
    """What its tear-down is to fail on."""


_PROPERTY = "pgwatch."
_RUN = pytest.StashKey[_TestRun]()


OwnerListener = Callable[[Owner], None]


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
        self.sections: list[AskForSection] = []
        """Asked in the controller, once all tests are over."""
        self.journal = Journal(Path(self.shared.log_directory), self.shared.session, self.shared.worker)
        self.unwritten: list[Noted] = []
        """The controller's own, where its journal can't be written."""
        self._runs: dict[int, _TestRun] = {}
        self.told_dsn: str | None = None
        """Where this process's tests have committed, as their driver tells it: it may hold a password."""
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

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: object) -> None:
        """Hands the run to a worker of pytest-xdist."""
        workerinput = getattr(node, "workerinput", None)
        if isinstance(workerinput, dict):
            self.shared.hand_to(workerinput)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        """From here on, a test runs: each attempt of pytest-rerunfailures is another owner."""
        __tracebackhide__ = True
        attempt = int(getattr(item, "execution_count", 1))
        owner = Owner("test", item.nodeid, self.shared.worker, attempt)
        item.stash[_RUN] = run = _TestRun(owner, ignores_of(item))
        for one in run.ignores:
            self.journal.note("ignore", {"test": item.nodeid, "reason": one.reason, "tables": one.tables})
        self._runs[owner.number] = run
        self._call(self.began, owner)
        # Those of the attempt before.
        item.user_properties[:] = [one for one in item.user_properties if not one[0].startswith(_PROPERTY)]
        run.stack.enter_context(running(run.owner))
        yield
        self._end_after_fixtures(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None]:
        """Ends a test, if only its set-up failed before its own fixtures began; fails it on its findings."""
        __tracebackhide__ = True
        run = item.stash.get(_RUN, None)
        try:
            yield
        except BaseException:
            if run is not None:
                self._end(run)
                self._tell_beside(item, run)
            raise
        if run is not None:
            self._end(run)
            failing = [one for one in run.failing if one.fails] if self.mode == "fail" else []
            self._tell_beside(item, run, besides=failing)
            if failing:
                pytest.fail("\n".join(map(plain, in_words(failing))), pytrace=False)

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
        if fixturedef.scope == "function":
            self._end_after_fixtures(request.node)
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

    def _end_after_fixtures(self, item: pytest.Item) -> None:
        """Has a test end after its own fixtures, and before wider ones that are torn down with it.

        Otherwise the last test of a module would be judged after the module's clean-up, the others before.
        """
        run = item.stash[_RUN]
        if not run.has_finalizer:
            run.has_finalizer = True
            item.addfinalizer(lambda: self._end(run))

    def _end(self, run: _TestRun) -> None:
        run.stack.close()
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
