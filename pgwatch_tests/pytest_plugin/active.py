"""The plugin that is on: it tells whose connections and commits are whose, and logs them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from pgwatch_tests.pytest_plugin import Mode
from pgwatch_tests.pytest_plugin.shared_run import SharedRun
from pgwatch_tests.testing.connections.commits import Commits
from pgwatch_tests.testing.connections.psycopg_hooks import PsycopgHooks
from pgwatch_tests.testing.current_test import Owner, running, track_threads_and_tasks


@dataclass(slots=True)
class _TestRun:
    """An attempt of a test, until its own fixtures are torn down."""

    owner: Owner
    stack: ExitStack = field(default_factory=ExitStack)
    has_finalizer: bool = False


_RUN = pytest.StashKey[_TestRun]()


OwnerListener = Callable[[Owner], None]


def activate(config: pytest.Config, mode: Mode) -> None:
    """Registers the plugin's parts."""
    active = ActivePlugin(config, mode)
    config.pluginmanager.register(active, "pgwatch-active")


class ActivePlugin:
    """Hooks that put what happens in the database down to tests and fixtures."""

    def __init__(self, config: pytest.Config, mode: Mode) -> None:
        self.config = config
        self.mode = mode
        self.shared = SharedRun.of(config)
        self.commits = Commits()
        self.ended: list[OwnerListener] = []
        """Called with each test, and each fixture wider than one, right after its own tear-down."""
        self._undo: list[Callable[[], None]] = []

    def pytest_sessionstart(self) -> None:
        """Puts the hooks into the drivers."""
        hooks = PsycopgHooks(self.commits)
        hooks.install()
        if hooks.missing:
            warnings.warn(
                f"psycopg has changed ({', '.join(hooks.missing)}): not all sessions are named after their "
                "test, and not all commits are put down to it",
                stacklevel=1,
            )
        self._undo += [hooks.remove, track_threads_and_tasks()]

    def pytest_sessionfinish(self) -> None:
        """Takes the hooks out."""
        while self._undo:
            self._undo.pop()()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: object) -> None:
        """Hands the run to a worker of pytest-xdist."""
        workerinput = getattr(node, "workerinput", None)
        if isinstance(workerinput, dict):
            self.shared.hand_to(workerinput)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        """From here on, a test runs: each attempt of pytest-rerunfailures is another owner."""
        attempt = int(getattr(item, "execution_count", 1))
        item.stash[_RUN] = run = _TestRun(Owner("test", item.nodeid, self.shared.worker, attempt))
        run.stack.enter_context(running(run.owner))
        yield
        self._end_after_fixtures(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None]:
        """Ends a test whose set-up failed before its own fixtures began."""
        try:
            return (yield)
        finally:
            if (run := item.stash.get(_RUN, None)) is not None:
                self._end(run)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """What a fixture wider than a test does, from its set-up to its tear-down, is its own."""
        if fixturedef.scope == "function":
            self._end_after_fixtures(request.node)
            return (yield)
        owner = Owner("fixture", _name(fixturedef), self.shared.worker)
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
            for listener in self.ended:
                listener(owner)


def _name(fixturedef: pytest.FixtureDef[object]) -> str:
    """Returns `fixture users [session] of tests/conftest.py`."""
    of = f" of {fixturedef.baseid}" if fixturedef.baseid else ""
    return f"fixture {fixturedef.argname} [{fixturedef.scope}]{of}"
