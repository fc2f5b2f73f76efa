"""Where histories are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgwatch_tests.settings.load import Dsn
from tests.servers.sessions import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, database: Database) -> Path | Dsn:
    """Where a history is to be made: there is nothing there yet."""
    if request.param == "sqlite":
        return tmp_path / "state" / "history.sqlite3"
    return Dsn(database.dsn, "PGWATCH_HISTORY")
