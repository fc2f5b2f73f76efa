"""A scan of a database whose catalogs are locked says so soon, and waits for nobody."""

from __future__ import annotations

import time

import pytest

from pgwatch_tests.errors import CannotConnectError, NotCheckedError
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.sessions import Connect, Database


@pytest.mark.parametrize("catalog", ["pg_type", "pg_proc", "pg_namespace", "pg_class", "pg_attribute"])
def test_a_locked_catalog(database: Database, connect: Connect, catalog: str) -> None:
    connect().execute(f"LOCK TABLE {catalog} IN ACCESS EXCLUSIVE MODE".encode())
    settings = Settings(dsn=Dsn(database.dsn, "the test"), connect_timeout_s=2.0)
    began_s = time.monotonic()
    with pytest.raises((NotCheckedError, CannotConnectError)):
        scan(settings)
    assert time.monotonic() - began_s < 30
