"""Those who play in a scenario."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from pgwatch_tests.demo.embedded import EmbeddedServer
from tests.locks.scenarios.cast import Cast
from tests.sessions import Connect, Database


@pytest.fixture
def undo(server: EmbeddedServer) -> Iterator[ExitStack]:
    """What is done when all connections are closed."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def cast(server: EmbeddedServer, database: Database, undo: ExitStack, connect: Connect) -> Cast:
    """Nobody yet: a scenario lets them enter."""
    return Cast(server, database, connect, undo)
