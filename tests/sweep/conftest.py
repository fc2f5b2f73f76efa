"""A server that doesn't keep commit times: what a test inserts now, its values can say is old.

Tests elsewhere have the `server` of tests/conftest.py, which keeps the times of commits (the demo's default).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from tests.servers.server_places import server_directory


@pytest.fixture(scope="session")
def server(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """This worker's server for sweeps."""
    settings = {"wal_level": "logical", "autovacuum": "off", "track_commit_timestamp": "off"}
    with EmbeddedServer(programs, server_directory(), settings, template) as started:
        yield started
