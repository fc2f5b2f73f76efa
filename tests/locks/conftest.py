"""Those who play in a scenario, roles, and servers that a test may stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from tests.locks.actions.acting import DsnAs
from tests.locks.scenarios.cast import Cast
from tests.servers.server_places import server_directory
from tests.servers.sessions import Connect, Database, MakeRole


@pytest.fixture
def undo(server: EmbeddedServer) -> Iterator[ExitStack]:
    """What is done when all connections are closed."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def cast(server: EmbeddedServer, database: Database, undo: ExitStack, connect: Connect) -> Cast:
    """Nobody yet: a scenario lets them enter."""
    return Cast(server, database, connect, undo)


@pytest.fixture
def dsn_as(server: EmbeddedServer, database: Database, make_role: MakeRole) -> DsnAs:
    """Makes roles, and their connection strings."""
    return DsnAs(server, database, make_role)


@pytest.fixture
def own_server(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server that the test may stop."""
    with EmbeddedServer(programs, server_directory(), {}, template) as server:
        yield server
