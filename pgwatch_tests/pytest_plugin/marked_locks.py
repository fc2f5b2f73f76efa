"""The marker `pgwatch_lock`: a test holds named locks from before its set-up until after its tear-down.

It waits for them before any phase begins: neither pytest-timeout nor `--durations` counts the wait.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from _pytest.skipping import evaluate_skip_marks, evaluate_xfail_marks

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.settings.load import Flags, load
from pgwatch_tests.testing.named_locks import DEFAULT_TIMEOUT_S, LockRequest, NamedLocks

_FAILURE = pytest.StashKey[str]()
_LOCKS = pytest.StashKey[NamedLocks]()
_OPTIONS = ("shared", "timeout_s", "database")


class MarkedLocks:
    """Hooks, registered once a test of the session has the marker."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Takes the locks for all attempts of a test."""
        if item.get_closest_marker("pgwatch_lock") is None or _is_skipped(item):
            return (yield)
        try:
            locks = self._locks(item)
            locks.__enter__()
        except (PgwatchError, ValueError, psycopg.Error) as error:
            # An error here would end the session: it is the test's.
            item.stash[_FAILURE] = str(error)
            return (yield)
        item.stash[_LOCKS] = locks
        try:
            return (yield)
        finally:
            # Whether they were lost, the tear-down has told.
            locks.__exit__(PgwatchError)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Fails a test whose locks weren't to be had."""
        if (failure := item.stash.get(_FAILURE, None)) is not None:
            pytest.fail(failure, pytrace=False)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fails a test that has lost its locks while it ran."""
        __tracebackhide__ = True
        result = yield
        if (locks := item.stash.get(_LOCKS, None)) is not None:
            try:
                locks.check()
            except PgwatchError as error:
                pytest.fail(str(error), pytrace=False)
        return result

    def _locks(self, item: pytest.Item) -> NamedLocks:
        requests: dict[str, LockRequest] = {}
        options: dict[str, object] = {}
        for marker in item.iter_markers("pgwatch_lock"):
            if not marker.args:
                raise ValueError("the marker pgwatch_lock takes the name of a lock")
            unknown = ", ".join(name for name in marker.kwargs if name not in _OPTIONS)
            if unknown:
                raise ValueError(f"the marker pgwatch_lock takes {', '.join(_OPTIONS)}, not {unknown}")
            shared = bool(marker.kwargs.get("shared"))
            for name in marker.args:
                # Of two markers, the one that has it alone counts.
                before = requests.get(str(name))
                requests[str(name)] = LockRequest(str(name), shared and (before is None or before.shared))
            options = {**marker.kwargs, **options}
        database, timeout_s = options.get("database"), options.get("timeout_s", DEFAULT_TIMEOUT_S)
        if not isinstance(timeout_s, int | float):
            raise ValueError(
                f"timeout_s of the marker pgwatch_lock is a number of seconds, not {timeout_s!r}"
            )
        return NamedLocks(
            list(requests.values()),
            dsn=self._dsn(),
            database=None if database is None else str(database),
            timeout_s=timeout_s,
            test=compose("pytest", os.environ.get("PYTEST_XDIST_WORKER", ""), item.nodeid),
            whole_process=True,
        )

    def _dsn(self) -> str:
        flags = Flags(dsn=self._config.getoption("--pgwatch-dsn"))
        return load(flags, start=Path(self._config.rootpath)).dsn.value


def _is_skipped(item: pytest.Item) -> bool:
    """Whether markers keep a test from running: it needs no lock then, and there may be no server."""
    of_class: type | None = getattr(item, "cls", None)
    function = getattr(item, "obj", None) if of_class is None else getattr(of_class, item.name, None)
    if any(getattr(one, "__unittest_skip__", False) for one in (of_class, function)):
        return True
    try:
        if evaluate_skip_marks(item) is not None:
            return True
        xfail = None if item.config.getoption("runxfail") else evaluate_xfail_marks(item)
    except pytest.fail.Exception:  # a wrong condition, which the set-up tells
        return False
    return xfail is not None and not xfail.run
