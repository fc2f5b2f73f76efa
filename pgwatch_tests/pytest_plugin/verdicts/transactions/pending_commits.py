"""Pending commits: those of an owner that are to be judged, and what was seen of the database before them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from pgwatch_tests.pytest_plugin.verdicts.judge import (
    RestoredRows,
    is_between,
    names_table,
    rows_put_back,
    written_in,
)
from pgwatch_tests.pytest_plugin.verdicts.look import Counters, Shape, Writes
from pgwatch_tests.testing.connections.commits import Commit, ServedDatabase
from pgwatch_tests.testing.connections.writes import Written
from pgwatch_tests.testing.current_test import Owner


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at a database saw."""

    counters: Counters | None = None
    last_numbers: Mapping[int, int] = field(default_factory=dict)
    """Positions of sequences, by the table's oid."""

    @property
    def next_xid(self) -> int | None:
        """All later transactions have this id or a later one; None if nobody looked."""
        return None if self.counters is None else self.counters.next_xid

    def of(self, oid: int) -> Writes | None:
        """How often a table had been written to; None if it wasn't there, or nobody looked."""
        return None if self.counters is None else self.counters.tables.get(oid)


NOTHING_SEEN = Sight()


@dataclass(slots=True)
class PendingCommits:
    """The commits of an owner in one database."""

    owner: Owner
    database: ServedDatabase
    before: Sight
    """What was seen last before the first of them."""
    commits: list[Commit] = field(default_factory=list)
    unknown_since: int | None = None
    """The id from which on rows may be of its commits without a known id; None: there are none of these."""
    is_late: bool = False

    def add(self, commit: Commit, asked: int | None, seen: int | None) -> None:
        """Takes a commit. `asked` is the next id, as the server said before the commit wrote anything (None:
        not asked), `seen` that of the last look."""
        if commit.xid is None and not self.has_unknown:
            self.unknown_since = seen if asked is None else asked
        elif commit.xid is None and (asked is not None or commit.unknown != "autocommit"):
            # Of another thread, or of a transaction that had an id before the first one was sent.
            earlier = self.before.next_xid if asked is None else asked
            known = self.unknown_since
            self.unknown_since = None if known is None or earlier is None else min(known, earlier)
        self.commits.append(commit)

    @property
    def has_unknown(self) -> bool:
        """Whether the id of one of them isn't known."""
        return any(one.xid is None for one in self.commits)

    @property
    def written(self) -> frozenset[Written] | None:
        """What their statements say that they write; None: not known."""
        return written_in(self.commits)

    def tables_written(self, shapes: Iterable[Shape]) -> frozenset[int] | None:
        """Returns which of these tables their statements may write to, by the roots' oids; None: any."""
        written = self.written
        if written is None or any(one.verb == "unclear" for one in written):
            return None
        return frozenset(one.root_oid for one in shapes if names_table(written, one.table, one.root_table))

    @property
    def with_savepoints(self) -> list[int]:
        """The known ids of those that had subtransactions."""
        return _with_savepoints(self.commits)

    def since(self) -> int | None:
        """Returns the id from which on rows may be theirs though their ids aren't known; None: none may."""
        firsts = _with_savepoints(self.commits)
        if self.before.counters is not None and self.has_unknown:
            firsts.append(self.before.counters.next_xid)
        return min(firsts) if firsts else None

    def may_have_written(self, xmins: Iterable[int], shape: Shape, next_xid: int) -> set[int]:
        """Returns those ids in a table's rows that may be theirs, though they aren't known as such.

        They are of commits without a known id, or of subtransactions; in both cases only where statements
        may write to the table, as far as they say.
        """
        may_write = [one for one in self.commits if names_table(one.written, shape.table, shape.root_table)]
        firsts = _with_savepoints(may_write)
        if any(one.xid is None for one in may_write):
            since = self.unknown_since
            if since is None:
                return set(xmins)
            firsts.append(since - 1)
        return {xmin for xmin in xmins if any(is_between(xmin, first, next_xid) for first in firsts)}

    def may_be_updated(self, counters: Counters, oid: int) -> bool:
        """Whether rows that were there before may have been updated, for all that the counters say."""
        now, then = counters.tables.get(oid), self.before.of(oid)
        if not self._are_counted(counters, now, then) or now is None:
            return True
        return now.updated > (then.updated if then else 0)

    def rows_put_back(self, counters: Counters, shape: Shape) -> RestoredRows | None:
        """Which rows of a table may be of before, deleted and put back; None: none.

        How much the table has grown says nothing: the counters of another session, or of a ROLLBACK, may come
        long after what they count (`pgstat_report_stat` in backend/utils/activity/pgstat.c).
        """
        tables = shape.table, shape.root_table
        restored = rows_put_back(self.commits, *tables)
        if restored is None:
            return None
        now, then = counters.tables.get(shape.oid), self.before.of(shape.oid)
        if self._are_counted(counters, now, then) and now is not None:
            return None if now.deleted == (then.deleted if then else 0) else restored
        return restored

    def _are_counted(self, counters: Counters, now: Writes | None, then: Writes | None) -> bool:
        """Whether all that they wrote to a table is in the server's counters."""
        if not counters.counts_at_once or not all(one.has_flushed_counters for one in self.commits):
            return False
        return not (now is not None and now.is_rewritten_since(then))

    def made_table(
        self, counters: Counters, shape: Shape, own: Collection[int], known: Mapping[int, Shape]
    ) -> bool:
        """Whether they have made the table, and not as another one of the same name.

        `own` are the lower 32 bits of their ids, `known` the tables that were looked at before, by oid.
        """
        before = self.before.counters
        if before is None or shape.oid in before.tables or shape.born not in own:
            return False
        gone = before.tables.keys() - counters.tables.keys()
        return all(oid in known and known[oid].name != shape.name for oid in gone)


def _with_savepoints(commits: Iterable[Commit]) -> list[int]:
    """Returns the known ids of those that had subtransactions."""
    return [one.xid for one in commits if one.xid is not None and one.has_savepoints]
