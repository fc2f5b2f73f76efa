"""A database that is watched while the drivers are hooked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.sessions import Connect, Database
from tests.testing.connections.watch import Watch, watching


@pytest.fixture
def watch(database: Database, connect: Connect) -> Iterator[Watch]:
    """The test's database, with a table `t`."""
    with watching(database, connect(autocommit=True)) as watch:
        yield watch
