"""Several scans of many tables at once, on a server with default settings."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from tests.leaks.scanning import RunningScan, settings
from tests.servers.server_places import server_directory

TABLES = 1000
LEAKING = range(0, TABLES, 100)
# With its index, a hundred of them in one statement would be 400 locks.
TABLE = """
    CREATE TABLE {name} (id int PRIMARY KEY, email text UNIQUE, name text);
    CREATE INDEX ON {name} (name);
    INSERT INTO {name} VALUES (1, {email}, 'someone');
"""


def test_four_at_once_on_a_thousand_tables(programs: ServerPrograms, template: Path) -> None:
    with EmbeddedServer(programs, server_directory(), {}, template) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as owner:
            for setting, default in (("max_locks_per_transaction", "64"), ("max_connections", "100")):
                assert owner.execute("SELECT current_setting(%s)", [setting]).fetchone() == (default,)
            for first in range(0, TABLES, 100):
                statements = [
                    sql.SQL(TABLE).format(
                        name=sql.Identifier(f"t{number}"),
                        email="a@test.example.com" if number in LEAKING else "a@example.org",
                    )
                    for number in range(first, first + 100)
                ]
                owner.execute(sql.SQL("").join(statements))

        running = [RunningScan(settings(server.dsn())) for _ in range(4)]
        reports = [one.result(timeout_s=60) for one in running]

        log = server.log_file.read_text(encoding="utf-8")
    for report in reports:
        assert (report.tables_checked, report.skipped) == (TABLES, ())
        assert {leak.table for leak in report.tables} == {f"t{number}" for number in LEAKING}
        assert report.total == len(LEAKING)
    assert "out of shared memory" not in log
