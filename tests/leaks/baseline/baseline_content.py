"""Baselines with the content of a test's own database, and what is lost since."""

from __future__ import annotations

import psycopg

from pgwatch_tests.leaks.baseline.baseline import Baseline
from pgwatch_tests.leaks.baseline.baseline_reader import take
from pgwatch_tests.leaks.baseline.comparison import Since
from pgwatch_tests.leaks.model import LeakReport, LeftoverKind
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.settings.load import IgnoreSetting
from tests.leaks.scanning import settings
from tests.servers.sessions import Database

COUNTRIES = (
    "CREATE TABLE countries (code text PRIMARY KEY, name text, size float8)",
    "INSERT INTO countries SELECT 'c' || i, 'Country ' || i, i / 7.0 FROM generate_series(1, 250) AS i",
)


def kept(database: Database, *ignore: str) -> Baseline:
    """The state of a database now, with its tables' content."""
    ignored = tuple(IgnoreSetting(what) for what in ignore)
    return take(settings(database.dsn, ignore=ignored), content=True)


def compared(database: Database, baseline: Baseline, *ignore: str) -> LeakReport:
    """The report of a scan for lost rows."""
    ignored = tuple(IgnoreSetting(what) for what in ignore)
    kinds: tuple[LeftoverKind, ...] = ("lost_rows",)
    return scan(settings(database.dsn, ignore=ignored), kinds=kinds, since=Since(baseline))


def lost(database: Database, baseline: Baseline, *ignore: str) -> dict[str, str]:
    """What each table lost; everything could be compared."""
    report = compared(database, baseline, *ignore)
    assert report.unchecked == ()
    assert report.kinds_checked == ("lost_rows",)
    return {one.name: one.detail for one in report.leftovers}


def alone(database: Database, *statements: str) -> None:
    """Runs each statement in a transaction of its own, whoever else is connected."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
