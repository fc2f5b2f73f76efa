"""Roles, and servers that a test may stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgwatch_tests.demo.embedded import EmbeddedServer, ServerPrograms
from tests.locks.acting import DsnAs
from tests.server_places import server_directory
from tests.sessions import Database, MakeRole


@pytest.fixture
def dsn_as(server: EmbeddedServer, database: Database, make_role: MakeRole) -> DsnAs:
    """Makes roles, and their connection strings."""
    return DsnAs(server, database, make_role)


@pytest.fixture
def own_server(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server that the test may stop."""
    with EmbeddedServer(programs, server_directory(), {}, template) as server:
        yield server
