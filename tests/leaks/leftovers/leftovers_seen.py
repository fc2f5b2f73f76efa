"""What a scan finds beside rows."""

from __future__ import annotations

from dataclasses import replace

from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.leaks.model import LeakReport, Leftover, LeftoverKind
from pgwatch_tests.leaks.scan import scan
from tests.leaks.scanning import settings


def looked(dsn: str, *kinds: LeftoverKind, patterns: tuple[str, ...] = ("test_*",)) -> LeakReport:
    """A scan for those kinds."""
    return scan(replace(settings(dsn), test_schemas=patterns), kinds=kinds)


def found(dsn: str, *kinds: LeftoverKind) -> list[Leftover]:
    """The leftovers of a scan that could check all that it was asked for."""
    report = looked(dsn, *kinds)
    assert report.complete
    return list(report.leftovers)


def only(dsn: str, kind: LeftoverKind) -> Leftover:
    """The one leftover of a kind."""
    (leftover,) = found(dsn, kind)
    assert leftover.kind == kind
    return leftover


def is_active(owner: Connection[TupleRow], pid: int) -> bool:
    """Whether a session runs a statement."""
    query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
    return owner.execute(query, [pid]).fetchone() is not None
