"""Tests that need no server, and of these the ones that stay in pytest's own process.

`pytest --without-server` leaves out each test one of whose fixtures comes to `programs`, PostgreSQL's own;
`pytest --without-processes` (`make fast`) also those that come to `python`, the interpreter. Nothing is
marked by hand. A test that starts either without the fixture fails then: none is overlooked.
These tests draw fewer random examples than in the suite (tests/examples.py).
"""

from __future__ import annotations

import subprocess
from typing import NoReturn

import pytest

from pgwatch_tests.embedded.server import EmbeddedServer

OPTION, PROCESSES_OPTION = "--without-server", "--without-processes"
_NOWHERE = "/nonexistent/no-server-in-tests-without-one"


def add_options(parser: pytest.Parser) -> None:
    """Adds both options."""
    parser.addoption(OPTION, action="store_true", help="run only tests that need no server")
    parser.addoption(
        PROCESSES_OPTION, action="store_true", help="run only those that start no process either"
    )


def asked_for(config: pytest.Config) -> bool:
    """Whether one of the options is given."""
    return bool(config.getoption(OPTION) or config.getoption(PROCESSES_OPTION))


def starts_server(item: pytest.Item) -> bool:
    """Whether the fixtures of a test, those of fixtures included, start a server or use its programs."""
    return _uses(item, "programs")


def keep(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects the tests that need what the options leave out."""
    left_out = ["programs", "python"] if config.getoption(PROCESSES_OPTION) else ["programs"]
    deselected = [item for item in items if any(_uses(item, fixture) for fixture in left_out)]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in set(deselected)]


def forbid_servers(config: pytest.Config) -> None:
    """Makes each start of a server fail until pytest ends, here and in processes that tests start.

    With `--without-processes`: makes each start of a process fail.
    """
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    patch.setattr(EmbeddedServer, "initialise", _refuse_server)
    patch.setenv("PGWATCH_PG_BIN", _NOWHERE)
    if config.getoption(PROCESSES_OPTION):
        patch.setattr(subprocess.Popen, "__init__", _refuse_process)


def _uses(item: pytest.Item, fixture: str) -> bool:
    return fixture in getattr(item, "fixturenames", ())


def _refuse_server(*_: object) -> NoReturn:
    pytest.fail(f"{OPTION}: a test starts a server, and none of its fixtures does: use `programs`")


def _refuse_process(process: subprocess.Popen[bytes], *_: object, **__: object) -> NoReturn:
    process.returncode = 0  # for its finalizer, which asks whether it still runs
    pytest.fail(f"{PROCESSES_OPTION}: a test starts a process, and none of its fixtures does: use `python`")
