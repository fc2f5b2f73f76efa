"""Baselines of a test's own database, and scans that compare with them."""

from __future__ import annotations

import psycopg

from pgwatch_tests.leaks.baseline.baseline import Baseline
from pgwatch_tests.leaks.baseline.baseline_reader import take
from pgwatch_tests.leaks.baseline.comparison import Since
from pgwatch_tests.leaks.model import BaselineUse, LeakReport, LeftoverKind
from pgwatch_tests.leaks.scan import scan
from tests.leaks.scanning import settings
from tests.servers.sessions import Database
from tests.waiting import wait_until


def taken(database: Database) -> Baseline:
    """The state of a database now."""
    return take(settings(database.dsn))


def compared(
    database: Database, baseline: Baseline, any_rows: bool = True, settle_s: float = 0.0
) -> LeakReport:
    """The report of a scan since a baseline."""
    return scan(settings(database.dsn), since=Since(baseline, any_rows, settle_s))


def left(database: Database, baseline: Baseline, *kinds: LeftoverKind) -> LeakReport:
    """The report of a scan for leftovers of these kinds since a baseline."""
    return scan(settings(database.dsn), kinds=kinds, since=Since(baseline))


def use(report: LeakReport) -> BaselineUse:
    """How a report's scan compared."""
    assert report.baseline is not None
    return report.baseline


def run(database: Database, *statements: str) -> None:
    """Runs each statement in a transaction of its own, in a session that is gone afterwards."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
    until_empty(database)


def until_empty(database: Database) -> None:
    """Returns once nobody is connected to a database."""
    with psycopg.connect(database.dsn, dbname="postgres", autocommit=True) as outside:
        query = "SELECT count(*) FROM pg_stat_get_activity(NULL) WHERE datid = %s"
        found = outside.execute("SELECT oid FROM pg_database WHERE datname = %s", [database.name]).fetchone()
        assert found is not None
        oid = found[0]
        wait_until(
            lambda: outside.execute(query, [oid]).fetchone() == (0,),
            message="everybody has left the database",
        )


def has_trustworthy_statistics(database: Database) -> bool:
    """Whether the server is one whose statistics may be believed at all."""
    with psycopg.connect(database.dsn) as connection:
        version = connection.info.server_version
    until_empty(database)
    return version >= 150000
