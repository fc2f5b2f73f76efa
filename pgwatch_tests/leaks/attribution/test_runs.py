"""Test runs: when each ran, and which of its transactions wrote. Times are µs since 1970. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

AUTOCOMMIT = "autocommit"
_WHY_UNKNOWN: Mapping[str, str] = MappingProxyType(
    {
        AUTOCOMMIT: "autocommit writes have no transaction to tell by",
        "savepoint": "rows written after a SAVEPOINT have another transaction id than its transaction",
        "pipeline": "commits in a pipeline tell no transaction id",
        "two_phase": "prepared transactions tell no id",
        "typed": "a COMMIT that a test sends as a statement tells no transaction id",
        "driver": "the driver, or the server, tells no transaction ids",
    }
)


def why_unknown(ways: Collection[str]) -> str:
    """Returns why ids of transactions aren't known, by the ways of the commits as logs have them; empty for
    none."""
    return "; ".join(why for way, why in _WHY_UNKNOWN.items() if way in ways)


def how_to_know(ways: Collection[str]) -> str:
    """Returns what tells whose rows of such commits are, the next time."""
    third = ", or write in a transaction" if AUTOCOMMIT in ways else ""
    first = "run once without -n" + ("," if third else " or")
    return f"{first} make values with unique_email or unique_id{third}"


@dataclass(frozen=True, slots=True)
class DatabaseIdentity:
    """The database that transaction ids belong to: the server's `system_identifier`, and the database's oid.

    A name isn't enough: a database that was dropped and made anew has the same.
    """

    system_identifier: str
    oid: int
    name: str


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """Offset of the server's clock from the client's (positive: ahead), and how wrong it may be."""

    ahead_us: int
    error_us: int


@dataclass(frozen=True, slots=True)
class Written:
    """A top-level transaction that wrote, as its own session saw it just before COMMIT.

    A row of a table in `inserted` that isn't in `changed`, with this transaction's id, was inserted by it.
    None: not known (track_counts is off, or another test ran in the same process).
    """

    xid: int
    """All 64 bits."""
    started_us: int | None = None
    """Its now(), by the server's clock."""
    inserted: frozenset[int] | None = None
    """Tables (roots, of partitions) that it may have inserted rows into, by oid."""
    changed: frozenset[int] | None = None
    """Tables in which it may have written older rows anew: updated them, or rewritten the table."""
    is_judged: bool = False
    """Whether these were judged by the rows that it left, whatever else ran in the same process."""
    is_complete: bool = True
    """False: rows of other tables may be its own, too."""

    def may_have_inserted_into(self, table_oid: int) -> bool:
        """Whether rows of a table with this transaction's id may be new ones of its own."""
        if self.inserted is None or table_oid in self.inserted:
            return True
        return not self.is_complete and table_oid not in (self.changed or ())


@dataclass(frozen=True, slots=True)
class TestRun:
    """One run of one test, or of a fixture, in a worker, by the clock of the worker's machine."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    test: str
    worker: str
    began_us: int
    ended_us: int | None
    """None: still running, or its worker was killed."""
    outcome: str | None = None
    transactions: tuple[Written, ...] = ()
    clock: ClockOffset | None = None
    """None: never measured."""
    is_fixture: bool = False
    """Whether a fixture wider than a test is meant, from its set-up to its tear-down."""
    unknown: int = 0
    """Its commits whose ids aren't known."""
    unknown_ways: frozenset[str] = frozenset()
    """How those were made: `autocommit`, `savepoint` …"""
    may_write: frozenset[int] | None = None
    """Tables (roots, by oid) that its commits may have written to, as its statements say. None: not told."""
    perhaps: frozenset[tuple[int, int]] = frozenset()
    """Rows that may be of its commits without a known id: the table's oid, and the id in the row."""

    def may_have_written_to(self, table_oid: int) -> bool:
        """Whether any row of a table may be its own."""
        if self.may_write is None or table_oid in self.may_write:
            return True
        return any(one.may_have_inserted_into(table_oid) for one in self.transactions)
