"""A baseline: the state of a database before a suite, and the condition on rows written since. Pure.

A row is new or changed if the transaction that wrote its version (`xmin`) wasn't visible to the baseline's
snapshot. Freezing, VACUUM FULL and CLUSTER keep `xmin` (since PostgreSQL 9.4, src/include/access/
htup_details.h: HEAP_XMIN_FROZEN); ALTER TABLE and REFRESH that write a table anew don't.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pgwatch_tests.leaks.baseline.content import TableContent
from pgwatch_tests.leaks.baseline.objects import DatabaseObject, SequencePosition
from pgwatch_tests.postgres.version import in_words

# Between two transactions that a 32-bit number can compare (src/backend/access/transam/README).
_HALF_THE_CIRCLE = 2**31
_CIRCLE = 2**32


@dataclass(frozen=True, slots=True)
class Server:
    """A database, and since when its statistics count: a row of queries/baseline/server.sql.

    `database_reset`, `server_reset` and `configured` are microseconds since 1970.
    """

    database: str
    oid: int
    version: int
    in_recovery: bool
    read_at: datetime
    next_transaction: int
    database_reset: int | None
    server_reset: int | None
    configured: int
    counting: bool


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A fingerprint of a table's rows, which changes with them: its file, and the number of row versions
    ever written."""

    oid: int
    schema: str
    table: str
    kind: str
    """`relkind` of pg_class."""
    filenode: int
    written: int
    updated: int | None = None
    """How many of the versions are of rows that were there before; None in older baselines."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The state of a database before a suite."""

    taken_at: datetime
    server: Server
    system_identifier: str | None
    """The system identifier of the cluster; None if the role may not read it."""
    snapshot: str
    """The snapshot, as pg_current_snapshot() prints it: `xmin:xmax:running`."""
    running: tuple[tuple[int, int], ...]
    """Ranges of the transactions, subtransactions included, that weren't over and are below `xmax`."""
    tables: tuple[Fingerprint, ...]
    objects: tuple[DatabaseObject, ...] | None = None
    """The objects beside rows; None in older baselines, which don't hold them."""
    sequences: tuple[SequencePosition, ...] | None = None
    """The positions of the sequences that may be read; None in older baselines."""
    content: tuple[TableContent, ...] | None = None
    """The content of the tables; None if that wasn't asked for."""
    away_s: tuple[float, ...] = ()
    """Seconds of each interruption that left the database to somebody who dropped, altered or copied it."""

    @property
    def xmin(self) -> int:
        """The oldest transaction that wasn't over."""
        return int(self.snapshot.split(":")[0])

    @property
    def xmax(self) -> int:
        """All transactions from here on are later."""
        return int(self.snapshot.split(":")[1])


def still_running(snapshot: str) -> frozenset[int]:
    """The transactions that a snapshot lists as not over; subtransactions aren't among them."""
    listed = snapshot.split(":")[2]
    return frozenset(map(int, listed.split(","))) if listed else frozenset()


def is_empty(snapshot: str) -> bool:
    """Whether no transaction was under way that anything had been written in.

    Of one that was, or was begun later, a commit makes the next snapshot another one (GetSnapshotData,
    src/backend/storage/ipc/procarray.c).
    """
    xmin, xmax, under_way = snapshot.split(":")
    return xmin == xmax and not under_way


def ranges(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """`(3, 5), (8, 8)` for 3, 4, 5, 8 in any order."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def refusal(baseline: Baseline, server: Server, system_identifier: str | None) -> str | None:
    """Returns a clause that says why a database can't be compared with a baseline; None if it can."""
    before = baseline.server
    if before.version // 10000 != server.version // 10000:
        return f"was taken on PostgreSQL {in_words(before.version)}, and this is {in_words(server.version)}"
    if None not in (baseline.system_identifier, system_identifier) and (
        baseline.system_identifier != system_identifier
    ):
        return "was taken on another server"
    if before.oid != server.oid:
        if before.database == server.database:
            return (
                f"is of a database {server.database!r} that was dropped and recreated, or of another server"
            )
        return f"is of the database {before.database!r}, and this is {server.database!r}"
    if server.in_recovery:
        return "can't be compared with a standby: connect to the primary"
    if baseline.xmax > server.next_transaction:
        return "is newer than this server's state, as after a restore from a backup"
    if server.next_transaction - baseline.xmin >= _HALF_THE_CIRCLE:
        return "is more than two billion transactions old"
    return None


def statistics_gap(baseline: Baseline, server: Server) -> str | None:
    """Returns why the statistics may have missed writes since the baseline; None if they counted all."""
    before = baseline.server
    if server.version < 150000:
        # Before 15, statistics were sent by UDP, which may lose them, and an idle session kept its last ones.
        return "before PostgreSQL 15, statistics may get lost"
    if not (before.counting and server.counting):
        return "track_counts is, or was, off"
    if before.server_reset != server.server_reset:
        return "the server lost its statistics, or they were reset"
    if before.database_reset != server.database_reset:
        return "the statistics were reset"
    if before.configured != server.configured:
        return "the server was restarted or its configuration reloaded, so track_counts may have been off"
    return None


def unseen(baseline: Baseline) -> bytes:
    """Returns a condition on a row: its version was written by a transaction unseen by the baseline.

    Pure arithmetic on the distance from the snapshot's xmin, so that parallel workers can do it; age()
    can't be run by them.
    """
    distance = _distance(baseline)
    later = b" OR ".join(
        (
            b"%b OPERATOR(pg_catalog.>=) %d" % (distance, baseline.xmax - baseline.xmin),
            *(
                b"(%b OPERATOR(pg_catalog.>=) %d AND %b OPERATOR(pg_catalog.<=) %d)"
                % (distance, first - baseline.xmin, distance, last - baseline.xmin)
                for first, last in baseline.running
            ),
        )
    )
    # Whatever a statement sees is below its own snapshot's xmax: what is beyond is from before the baseline.
    return (
        b"(%b OPERATOR(pg_catalog.<) (SELECT "
        b"pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text::bigint "
        b"OPERATOR(pg_catalog.-) %d) AND (%b)"
        # 1 and 2 are no transactions, but what initdb and old servers' freezing wrote.
        b" AND xmin::pg_catalog.text::bigint OPERATOR(pg_catalog.>) 2)"
    ) % (distance, baseline.xmin, later)


def written_from(baseline: Baseline, transaction: int) -> bytes:
    """Returns a condition on an `unseen` row: its version is of that transaction, or of a later one."""
    return b"%b OPERATOR(pg_catalog.>=) %d" % (_distance(baseline), transaction - baseline.xmin)


def _distance(baseline: Baseline) -> bytes:
    return (
        b"((xmin::pg_catalog.text::bigint OPERATOR(pg_catalog.-) %d::bigint)"
        b" OPERATOR(pg_catalog.&) %d::bigint)" % (baseline.xmin % _CIRCLE, _CIRCLE - 1)
    )


def may_mistake_old_rows(server: Server) -> bool:
    """Whether a row may be so old that its 32-bit `xmin` is in use again."""
    return server.next_transaction > _CIRCLE
