"""Fixtures that remove rows: what factories made, what a test wrote, what a run wrote.

A run's rows are removed once all of its workers have ended: in the controller, whichever asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pgwatch_tests.testing.factories import BoundFactory
    from pgwatch_tests.testing.removed_rows import RemovedRows

_OUTPUT = "pgwatch_cleanup_run"
"""Where a worker of pytest-xdist says in which databases it wrote."""
_DATABASES = pytest.StashKey[set[tuple[str, str]]]()
"""Databases, and the run that wrote there: workers know its id."""
_STAYING = pytest.StashKey[list[str]]()


@pytest.fixture
def unique_factories(pgwatch_dsn: str) -> Iterator[BoundFactory[Any]]:
    """Has each UniqueFactory make its rows in the suite's database; they are removed when the test ends.

    In a session of its own. Needs the extra `factories`. For an AsyncSession: `async with Factory.using(…)`.
    """
    from pgwatch_tests.testing.factories import UniqueFactory
    from pgwatch_tests.testing.factories.engine import own_engine

    factory: type[UniqueFactory[Any]] = UniqueFactory
    with own_engine(pgwatch_dsn) as engine, factory.using(engine) as bound:
        yield bound


@pytest.fixture
def cleanup_test(pgwatch_dsn: str, request: pytest.FixtureRequest) -> Iterator[Callable[[], RemovedRows]]:
    """Removes the test's rows in the suite's database when it ends, by its hash in their values.

    Fixtures that hold connections should ask for it, so that they have ended before. The test may call it
    earlier, too. RowsStayError tells what stays.
    """
    from pgwatch_tests.testing import cleanup
    from pgwatch_tests.testing.removed_rows import tell

    remove = partial(cleanup.cleanup_test, pgwatch_dsn, test=request.node.nodeid)
    yield remove
    tell(remove())


@pytest.fixture(scope="session")
def cleanup_run(pgwatch_dsn: str, run_id: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """Removes the rows of all tests of this run when it ends, in all of its workers."""
    yield
    output = getattr(request.config, "workeroutput", None)
    if isinstance(output, dict):
        output[_OUTPUT] = [pgwatch_dsn, run_id]
    else:
        request.config.stash.setdefault(_DATABASES, set()).add((pgwatch_dsn, run_id))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Remembers where a worker of pytest-xdist wrote."""
    if written := getattr(node, "workeroutput", {}).get(_OUTPUT):
        node.config.stash.setdefault(_DATABASES, set()).add(tuple(written))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Removes the run's rows, if the fixture `cleanup_run` was used."""
    databases = session.config.stash.get(_DATABASES, set())
    if not databases:
        return
    from pgwatch_tests.errors import PgwatchError
    from pgwatch_tests.testing import cleanup
    from pgwatch_tests.testing.removed_rows import tell

    told = session.config.stash.setdefault(_STAYING, [])
    for dsn, run in sorted(databases):
        try:
            tell(cleanup.remove_own(dsn, run))
        except PgwatchError as error:
            told.append(str(error))
    if told and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says why rows of the run stay."""
    if told := config.stash.get(_STAYING, []):
        terminalreporter.section("rows of this run stay", red=True)
        for line in told:
            terminalreporter.line(line)
