"""Comparison of a database with its baseline: which tables need no look, and what was noticed beside rows.

A table needs no look if the statistics say that nothing was written to it, and tell all that was committed.
A backend publishes its counts when it is between transactions, at the latest 10 s after it became idle, and
when it ends (PostgreSQL 15 and newer: src/backend/utils/activity/pgstat.c, PGSTAT_IDLE_INTERVAL). One that
committed and began another transaction, even an empty one, publishes nothing until that is over.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.baseline import relations
from pgwatch_tests.leaks.baseline.baseline import (
    Baseline,
    Server,
    may_mistake_old_rows,
    refusal,
    statistics_gap,
    unseen,
    written_from,
)
from pgwatch_tests.leaks.baseline.baseline_reader import read_server, read_system_identifier
from pgwatch_tests.leaks.catalog.discovery import without_strange_plans
from pgwatch_tests.leaks.catalog.tables import Discovery, Table
from pgwatch_tests.leaks.model import BaselineUse
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.text.sql_names import shown

QUIET_S = 11.0
"""After so long, an idle session has published all that it counted."""
_SOON_S = 0.25


@dataclass(frozen=True, slots=True)
class Since:
    """The baseline that a scan compares with, and what the scan counts."""

    baseline: Baseline
    any_rows: bool = False
    """Whether every new or changed row counts, not only marked ones."""
    settle_s: float = 0.0
    """Seconds to wait, at most, until other sessions are quiet enough for the statistics."""


class Comparison:
    """The comparison of one scan. Raises what `session.running` does, and psycopg's errors."""

    def __init__(self, session: DatabaseSession, since: Since) -> None:
        self._since = since
        self._baseline = since.baseline
        self._session = session
        self._before = {table.oid: table for table in since.baseline.tables}
        self._untouched: set[int] = set()
        self._known_untouched: frozenset[int] | None = None
        self._begin()

    @property
    def unseen(self) -> bytes:
        """The condition on a row: see `baseline.unseen`."""
        return unseen(self._baseline)

    @property
    def written_later(self) -> bytes:
        """The condition on a row that is `unseen`: whether it was written since this comparison began."""
        return written_from(self._baseline, self._next_transaction)

    @property
    def may_mistake_old_rows(self) -> bool:
        """Whether a row may look new that was there: see `baseline.may_mistake_old_rows`."""
        return may_mistake_old_rows(self._server)

    def look_again(self) -> None:
        """Reads once more which tables there are. That others are untouched isn't told any more."""
        self._relations = relations.read(self._session)
        self._known_untouched = frozenset(self._untouched)

    def discover(self, role: str) -> Discovery:
        """Returns all tables, also those without string columns: see `Relations.discovery`."""
        discovery = self._relations.discovery(role)
        return self._session.run(lambda connection: without_strange_plans(connection, discovery))

    def divide(self, discovery: Discovery, role: str) -> tuple[Discovery, int]:
        """Returns the tables to count in, without untouched ones, and the number of these."""
        tables, skipped, untouched = [], list(discovery.skipped), 0
        for table in discovery.tables:
            relation = self._relations.get(table.oid)
            if relation is not None and relation.readable is False:
                skipped.append(relations.no_row_versions(table.schema, table.name, role))
            elif self.is_untouched(table):
                self._untouched.add(table.oid)
                untouched += 1
            else:
                tables.append(table)
        return replace(discovery, tables=tuple(tables), skipped=tuple(skipped)), untouched

    def is_part(self, oid: int) -> bool:
        """Whether the table exists, and is read through another one."""
        relation = self._relations.get(oid)
        return relation is not None and relation.parent is not None

    def use(self, counts: Mapping[Table, int], untouched: int, rows_before: int | None) -> BaselineUse:
        """Returns the use of the baseline, given the new rows of each counted table."""
        return BaselineUse(
            taken_at=self._baseline.taken_at,
            way="snapshot" if self._reason else "statistics",
            detail=self._reason or "all sessions have published their statistics",
            tables_untouched=untouched,
            rows_before=rows_before,
            dropped=tuple(
                f"{table.schema}.{table.table}"
                for oid, table in self._before.items()
                if self._relations.get(oid) is None
            ),
            notes=tuple(self._notes(table for table, rows in counts.items() if rows)),
        )

    def _begin(self) -> None:
        server = read_server(self._session)
        self._next_transaction = server.next_transaction
        self._refuse(server, read_system_identifier(self._session))
        # No wait makes statistics believable that have missed something already.
        gap = statistics_gap(self._baseline, server)
        quiet = self._settle(self._since.settle_s if gap is None else 0.0)
        # The counters first: a reset that comes after they were read must not hide what they showed.
        self._relations = relations.read(self._session)
        self._server = read_server(self._session)
        self._reason = statistics_gap(self._baseline, self._server) or quiet.reason

    def _refuse(self, server: Server, system_identifier: str | None) -> None:
        reason = refusal(self._baseline, server, system_identifier)
        if reason is not None:
            raise ConfigurationError(f"the baseline {reason}; `pgwatch-tests baseline` takes a new one")

    def _settle(self, settle_s: float) -> Barrier:
        """Waits until the statistics can be believed, or for as long as is allowed."""
        deadline = time.monotonic() + settle_s
        while True:
            seen = barrier(self._session.ask("baseline/other_sessions", OtherSession))
            left_s = deadline - time.monotonic()
            if not seen.reason or left_s <= 0:
                return seen
            self._session.pause(min(seen.wait_s, left_s))

    def is_untouched(self, table: Table) -> bool:
        """Whether the statistics prove that nothing was written to the table since."""
        if self._known_untouched is not None and table.oid not in self._known_untouched:
            return False
        tree = self._relations.tree(table.oid)
        return not self._reason and bool(tree) and all(map(self._is_as_before, tree))

    def is_only_inserted_into(self, oid: int) -> bool:
        """Whether the statistics prove that no row of a table, or of its partitions, was updated since."""
        tree = self._relations.tree(oid)
        return not self._reason and bool(tree) and all(map(self._has_no_updates, tree))

    def _has_no_updates(self, relation: relations.Relation) -> bool:
        before = self._before.get(relation.oid)
        return before is None or (before.filenode, before.updated) == (relation.filenode, relation.updated)

    def _is_as_before(self, relation: relations.Relation) -> bool:
        before = self._before.get(relation.oid)
        return before is not None and (before.kind, before.filenode, before.written) == (
            relation.kind,
            relation.filenode,
            relation.written,
        )

    def _notes(self, changed: Iterable[Table]) -> Collection[str]:
        notes = []
        rewritten = [
            shown(f"{table.schema}.{table.name}") for table in changed if self.is_rewritten(table.oid)
        ]
        if rewritten:
            notes.append(
                f"{', '.join(rewritten)}: truncated or rewritten since; after ALTER TABLE or REFRESH, "
                "old rows count as changed"
            )
        if self._baseline.server.server_reset != self._server.server_reset:
            # Transactions of which nothing was on disk yet are forgotten, and their numbers given again.
            notes.append(
                "the server lost its statistics since, as after a crash: rows written right after it may "
                "look old"
            )
        if may_mistake_old_rows(self._server):
            notes.append(
                "this server has had more than four billion transactions, so ids are reused: a row written "
                "exactly that many transactions earlier may look new"
            )
        return notes

    def is_rewritten(self, oid: int) -> bool:
        """Whether a table, or a partition of it, was truncated or rewritten since."""
        for relation in self._relations.tree(oid):
            before = self._before.get(relation.oid)
            if before is not None and before.filenode != relation.filenode:
                return True
        return False


@dataclass(frozen=True, slots=True)
class OtherSession:
    """A row of queries/baseline/other_sessions.sql; all but the pid is None if it is hidden from our role."""

    pid: int
    backend_type: str | None
    state: str | None
    for_s: float | None
    """Seconds in that state."""


@dataclass(frozen=True, slots=True)
class Barrier:
    """A barrier: why the statistics can't be believed yet, in a clause, and how soon they may be."""

    reason: str
    """Empty if they can be."""
    wait_s: float = 0.0
    """Seconds to wait before the next look."""


def barrier(sessions: Sequence[OtherSession]) -> Barrier:
    """Returns the barrier that the other sessions of the database make."""
    unquiet = [session for session in sessions if not _is_quiet(session)]
    if not unquiet:
        return Barrier("")
    reasons = [_reason(session) for session in unquiet]
    more = f" and {len(reasons) - 1:,} more" if len(reasons) > 1 else ""
    waits = [
        QUIET_S - session.for_s if session.state == "idle" and session.for_s is not None else _SOON_S
        for session in unquiet
    ]
    return Barrier(f"{reasons[0]}{more}", max(_SOON_S, min(waits)))


def _is_quiet(session: OtherSession) -> bool:
    return (
        session.backend_type == "client backend"
        and session.state == "idle"
        and session.for_s is not None
        and session.for_s >= QUIET_S
    )


def _reason(session: OtherSession) -> str:
    if session.backend_type is None:
        return f"the state of session {session.pid} is hidden from this role (pg_monitor shows it)"
    if session.backend_type != "client backend":
        return f"a {session.backend_type} is at work (pid {session.pid})"
    if session.state == "idle":
        return f"session {session.pid} has been idle for less than {QUIET_S:g} s"
    return f"session {session.pid} is {session.state or 'starting'}"
