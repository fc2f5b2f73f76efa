"""Records a dry sweep of 500 tables with 900 foreign keys: its report has to fit on a screen all the same."""

from __future__ import annotations

import psycopg

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from screenshots.recording import Recording
from tests.benchmarks.hygiene.generated_schema import create, generated
from tests.servers.server_places import server_directory

_DATABASE = "test_shop"
# Commit times would make all rows as young as the database.
_SETTINGS = {"max_locks_per_transaction": "256", "track_commit_timestamp": "off"}


def record() -> Recording:
    """The report of such a sweep, on a server of its own."""
    with EmbeddedServer(find_programs(), server_directory(), _SETTINGS) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            administrator.execute(f"CREATE DATABASE {_DATABASE}".encode())
        dsn = psycopg.conninfo.make_conninfo(server.dsn(), dbname=_DATABASE)
        with psycopg.connect(dsn, autocommit=True) as owner:
            create(owner, generated(tables=500, keys=900, rows=9000, groups=60, seed=1))
        return Recording((), sweep=Sweep(Settings(Dsn(dsn, "the recording")), SweepRequest(("rows",))).run())
