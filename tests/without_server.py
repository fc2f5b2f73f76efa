"""Tests that need no server: `pytest --without-server` runs these alone (`make fast`).

A test needs a server if any of its fixtures comes to `programs`, PostgreSQL's own: nothing is marked by hand.
One that starts a server without a fixture, in this process or in another, fails then: none is overlooked.
These tests draw fewer random examples than in the suite (tests/examples.py).
"""

from __future__ import annotations

from typing import NoReturn

import pytest

from pgwatch_tests.embedded.server import EmbeddedServer

OPTION = "--without-server"
_NOWHERE = "/nonexistent/no-server-in-tests-without-one"


def starts_server(item: pytest.Item) -> bool:
    """Whether the fixtures of a test, those of fixtures included, start a server or use its programs."""
    return "programs" in getattr(item, "fixturenames", ())


def keep(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects the tests that need a server."""
    config.hook.pytest_deselected(items=[item for item in items if starts_server(item)])
    items[:] = [item for item in items if not starts_server(item)]


def forbid_servers(config: pytest.Config) -> None:
    """Makes each start of a server fail until pytest ends, here and in processes that tests start."""
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    patch.setattr(EmbeddedServer, "initialise", _refuse)
    patch.setenv("PGWATCH_PG_BIN", _NOWHERE)


def _refuse(*_: object) -> NoReturn:
    pytest.fail(f"{OPTION}: a test starts a server, and none of its fixtures does: use `programs`")
