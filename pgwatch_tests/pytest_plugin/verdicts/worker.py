"""Verdicts of a process that runs tests: each test's, and each wider fixture's, right after its tear-down."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.identity.application_name import digest
from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.leaks.attribution.ladder import full_xid
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.dsn import in_database
from pgwatch_tests.pytest_plugin.verdicts.called_functions import CalledFunctions
from pgwatch_tests.pytest_plugin.verdicts.claims import ClaimJournal
from pgwatch_tests.pytest_plugin.verdicts.inserted_rows import inserting_transactions
from pgwatch_tests.pytest_plugin.verdicts.judge import (
    Judged,
    RowKind,
    Suspect,
    is_between,
    judge,
    lower,
    names_table,
)
from pgwatch_tests.pytest_plugin.verdicts.look import (
    Counters,
    FoundRows,
    RowsWanted,
    Shape,
    Shapes,
    find_rows,
    read_counters,
)
from pgwatch_tests.pytest_plugin.verdicts.transactions.pending_commits import (
    NOTHING_SEEN,
    PendingCommits,
    Sight,
)
from pgwatch_tests.pytest_plugin.verdicts.transactions.transaction_logs import (
    Rows,
    TransactionLogs,
    transaction_of,
)
from pgwatch_tests.pytest_plugin.verdicts.transactions.transaction_owners import (
    TransactionOwners,
    committed_with,
)
from pgwatch_tests.pytest_plugin.verdicts.verdict_session import (
    GoneError,
    PostponedError,
    VerdictSession,
    goes_by_itself,
    served,
    ways_to,
)
from pgwatch_tests.pytest_plugin.verdicts.words import findings_of
from pgwatch_tests.settings.load import Dsn
from pgwatch_tests.testing.connections.commits import Commit, ServedDatabase
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.own_transactions import OwnTransactions, answer_with

if TYPE_CHECKING:
    from pgwatch_tests.pytest_plugin.active import ActivePlugin

# Planning a statement on a table that the session hasn't read yet takes a millisecond.
_TABLES_AT_ONCE = 20
_MOST_TABLES = 200


class WorkerVerdicts:
    """Judges each owner once it has ended; nobody who wrote nothing costs a round trip."""

    def __init__(self, active: ActivePlugin, logs: TransactionLogs) -> None:
        self._active = active
        self._logs = logs
        self._claims = ClaimJournal(active.journal)
        self._session = VerdictSession()
        self._functions = CalledFunctions(lambda database: self._session.connected(self._reachable(database)))
        self._lock = threading.Lock()
        self._began_us: dict[int, int] = {}
        self._works: dict[tuple[int, ServedDatabase], PendingCommits] = {}
        self._sights: dict[ServedDatabase, Sight] = {}
        self._shapes: dict[ServedDatabase, Shapes] = {}
        self._postponed: list[PendingCommits] = []
        self._transactions: defaultdict[ServedDatabase, TransactionOwners] = defaultdict(TransactionOwners)
        self._stop_answering: Callable[[], None] = lambda: None
        active.commits.listen(self._take)
        active.began.append(self._begin)
        active.ended.append(self._end)

    def pytest_sessionstart(self) -> None:
        """Looks at the database that the settings name, if there is one: what is there before any test."""
        dsn = self._active.dsn()
        self._stop_answering = answer_with(self._own_transactions)
        if dsn is None or self._active.has_workers:
            return
        try:
            database = served(dsn)
            with self._session.connected(database) as connection:
                self._look_ahead(connection, database)
        except (PgwatchError, psycopg.Error):
            return  # whatever tests write to, they will tell

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Judges what was written late, after the last test."""
        self._stop_answering()
        self._judge(self._due(None))
        self._session.close()
        self._logs.close()

    def _begin(self, owner: Owner) -> None:
        self._began_us[owner.number] = real_time_ns() // 1000

    def _take(self, commit: Commit) -> None:
        """Takes a commit, in the thread that committed."""
        is_judged = commit.owner is not None and not goes_by_itself(commit.database, self._active.dsn())
        told = self._functions.with_writes(commit, asks=is_judged)
        if told is None:
            return
        commit = told
        self._claims.commit(commit)
        if commit.owner is None or not is_judged:
            return
        number, database = commit.owner.number, commit.database
        if commit.xid is None and database not in self._sights:
            self._look_first(database)
        with self._lock:
            work = self._works.get((number, database))
            if work is None:
                before = self._sights.get(database, NOTHING_SEEN)
                work = self._works[number, database] = PendingCommits(commit.owner, database, before)
            is_first_unknown = commit.xid is None and not work.has_unknown
        # A statement in autocommit is yet to be sent; any other transaction may have its id by now.
        is_ahead = commit.unknown == "autocommit" and not self._active.shared.is_alone_in(database.name)
        asked = self._next_xid(database) if is_first_unknown and is_ahead else None
        with self._lock:
            work.add(commit, asked, self._sights.get(database, NOTHING_SEEN).next_xid)
            others_wrote = self._transactions[database].commit(number, commit.xid)
        if is_first_unknown and others_wrote and asked is None:
            # Such as a fixture in the test's set-up: what is there by now is theirs.
            work.unknown_since = self._next_xid(database) or work.unknown_since

    def _end(self, owner: Owner) -> None:
        self._judge(self._due(owner))
        self._logs.end(owner, {one.database for one in self._postponed if one.owner is owner})
        if self._active.item is not None and self._active.next_item is None:
            # Behind the last test, fixtures drop the databases of the session.
            self._session.leave()

    def _due(self, owner: Owner | None) -> list[PendingCommits]:
        """Returns what is to be judged: an owner that has just ended, what is late, what was postponed."""
        if not self._works and not self._postponed:
            return []
        due, self._postponed = self._postponed, []
        with self._lock:
            keys = [key for key, work in self._works.items() if work.owner.has_ended]
            ended = [self._works.pop(key) for key in keys]
        for work in ended:
            work.is_late = work.owner is not owner
        return due + ended

    def _judge(self, due: Iterable[PendingCommits]) -> None:
        by_database: dict[ServedDatabase, list[PendingCommits]] = {}
        for work in due:
            by_database.setdefault(work.database, []).append(work)
        for database, works in by_database.items():
            try:
                with self._session.connected(self._reachable(database)) as connection:
                    self._look(connection, database, works)
            except GoneError:
                self._sights.pop(database, None)  # and all rows in it are gone as well
                self._logs.gone(database)
            except PostponedError:
                self._postponed += works
            except (PgwatchError, psycopg.Error) as error:
                reason = f"rows that it may have left in {database.name}: {_first_line(error)}"
                for work in works:
                    self._active.not_checked(reason, work.owner)
                    self._logs.committed(work.owner, database, work.commits)

    def _look(
        self, connection: OwnConnection, database: ServedDatabase, works: Sequence[PendingCommits]
    ) -> None:
        self._logs.open(connection, database)
        client_us = real_time_ns() // 1000
        counters = read_counters(connection)
        ahead_us = counters.now_us - client_us
        last_numbers = dict(self._sights.get(database, NOTHING_SEEN).last_numbers)
        for work in works:
            last_numbers |= self._look_for(connection, work, counters, ahead_us)
        self._see(database, Sight(counters, last_numbers))

    def _see(self, database: ServedDatabase, sight: Sight) -> None:
        with self._lock:
            self._sights[database] = sight
            self._transactions[database].look()

    def _look_for(
        self, connection: OwnConnection, work: PendingCommits, counters: Counters, ahead_us: int
    ) -> dict[int, int]:
        """Looks for the rows of one owner, and tells what is left of it. Returns positions of sequences."""
        own = [one.xid for one in work.commits if one.xid is not None]
        wanted = RowsWanted(own, work.since())
        suspect = self._suspect(work, ahead_us)
        unread = []
        last_numbers = {}
        ids, kinds = set(own), defaultdict[int, set[RowKind]](set)
        perhaps = defaultdict[int, set[int]](set)
        shapes = self._shapes_to_look_at(connection, work, counters)
        saw_all = len(shapes) < _MOST_TABLES
        for some in _parts(shapes):
            for found in find_rows(connection, some, wanted):
                saw_all &= not found.why_not and found.rows <= len(found.told)
                if found.why_not:
                    unread.append(found)
                    kinds[found.shape.root_oid].add("unclear")
                    continue
                if found.last_number is not None:
                    last_numbers[found.shape.oid] = found.last_number
                judged = self._judged(connection, work, found, suspect, counters)
                perhaps[found.shape.root_oid] |= self._tell(work, judged, counters.next_xid)
                kinds[found.shape.root_oid].update(judged.kinds)
                ids |= {xid for own in judged.own if (xid := full_xid(own, counters.next_xid))}
        for found in unread:
            self._active.not_checked(f"{found.shape.name}: {found.why_not}")
        is_complete = counters.counts_at_once and len(shapes) < _MOST_TABLES
        transactions = [transaction_of(xid, kinds, is_complete=is_complete) for xid in sorted(ids)]
        rows = Rows.of(work.tables_written(shapes) if saw_all else None, perhaps, counters.next_xid)
        self._logs.committed(work.owner, work.database, work.commits, transactions, rows)
        return last_numbers

    def _suspect(self, work: PendingCommits, ahead_us: int) -> Suspect:
        began_us = self._began_us.get(work.owner.number, 0)
        return Suspect(
            digest=digest(work.owner.name) if work.owner.kind == "test" else "",
            began_us=began_us,
            began_server_us=began_us + ahead_us,
            xids=lower(one.xid for one in work.commits if one.xid is not None),
            written=work.written,
        )

    def _own_transactions(self, dsn: str, test: str) -> OwnTransactions:
        """Returns the transactions of a running test whose rows in a database may be deleted."""
        with self._lock:
            works = [one for one in self._works.values() if one.owner.name == test]
        works = [one for one in works if one.owner.kind == "test" and not one.owner.has_ended]
        own: dict[int, frozenset[int]] = {}
        try:
            database = served(dsn) if works else None
            same = {} if database is None else ways_to(database, dsn, [one.database for one in works])
            for work in works:
                if same.get(work.database, work.database) != database:
                    continue
                wanted = RowsWanted([one.xid for one in work.commits if one.xid is not None])
                with self._session.connected(database) as connection:
                    client_us = real_time_ns() // 1000
                    counters = read_counters(connection)
                    for some in _parts(self._shapes_to_look_at(connection, work, counters)):
                        found = [one for one in find_rows(connection, some, wanted) if not one.why_not]
                        suspect = self._suspect(work, counters.now_us - client_us)
                        own |= inserting_transactions(work, counters, found, suspect)
        except (PgwatchError, psycopg.Error):
            return own  # the verdict will tell what is left
        return own

    def _judged(
        self,
        connection: OwnConnection,
        work: PendingCommits,
        found: FoundRows,
        suspect: Suspect,
        counters: Counters,
    ) -> Judged:
        shape = found.shape
        xids = {row.xmin for row in found.told}
        if work.before.of(shape.oid) is None:
            xids.add(shape.born)
        others = self._transactions[work.database].beside(work.owner.number, xids - suspect.xids)
        if others:
            suspect = replace(
                suspect, xids=suspect.xids | self._own_ids(connection, work, shape, others, counters)
            )
        known = self._shapes.setdefault(work.database, Shapes()).known
        return judge(
            found,
            suspect,
            may_be_updated=work.may_be_updated(counters, shape.oid),
            restored=work.rows_put_back(counters, shape),
            last_number=work.before.last_numbers.get(shape.oid),
            is_own_table=work.made_table(counters, shape, suspect.xids, known),
        )

    def _own_ids(
        self,
        connection: OwnConnection,
        work: PendingCommits,
        shape: Shape,
        others: set[int],
        counters: Counters,
    ) -> set[int]:
        """Returns those of other ids in rows that are the owner's, as a fact: of its subtransactions, and
        where nobody else of the run writes to the database, of its commits without a known id."""
        tops = work.with_savepoints
        of_savepoints = {
            xmin for xmin in others if any(is_between(xmin, top, counters.next_xid) for top in tops)
        }
        if self._active.shared.is_alone_in(work.database.name):
            return of_savepoints | work.may_have_written(others, shape, counters.next_xid)
        if of_savepoints and counters.has_commit_times:
            return committed_with(connection, of_savepoints, tops)
        return set()

    def _tell(self, work: PendingCommits, judged: Judged, next_xid: int) -> set[int]:
        """Tells what is left; returns the ids in rows that may be the owner's, the lower 32 bits."""
        shape = judged.found.shape
        for finding in findings_of(work.owner, judged, is_late=work.is_late):
            self._active.found(finding)
        rows = {row.xmin for row in judged.found.told}
        others = work.may_have_written(judged.of_others, shape, next_xid)
        told = rows - set(judged.of_others)
        self._transactions[work.database].judge(work.owner.number, told)
        if told or others:
            self._claims.judged(work.owner, work.database, shape.name, told, others)
        return others

    def _shapes_to_look_at(
        self, connection: OwnConnection, work: PendingCommits, counters: Counters
    ) -> list[Shape]:
        """Returns the tables that were written to meanwhile, as the server's counters say where these are up
        to date, and as the owner's statements say where they aren't."""
        shapes = self._shapes.setdefault(work.database, Shapes())
        before = {} if work.before.counters is None else work.before.counters.tables
        moved = [one for one in counters.tables.values() if one.has_moved_since(before.get(one.oid))]
        if counters.counts_at_once and all(one.xid is not None for one in work.commits):
            return shapes.of(connection, moved[:_MOST_TABLES])
        written = work.written
        moved_oids = {one.oid for one in moved}
        return [
            shape
            for shape in shapes.of(connection, list(counters.tables.values()))
            if shape.oid in moved_oids or names_table(written, shape.table, shape.root_table)
        ][:_MOST_TABLES]

    def _look_first(self, database: ServedDatabase) -> None:
        """Looks at a database before the first write whose transaction won't be known."""
        self._sights[database] = NOTHING_SEEN
        try:
            with self._session.connected(self._reachable(database)) as connection:
                self._look_ahead(connection, database)
        except (PgwatchError, psycopg.Error):
            return  # the verdict will tell

    def _look_ahead(self, connection: OwnConnection, database: ServedDatabase) -> None:
        self._logs.open(connection, database)
        counters = read_counters(connection)
        shapes = self._shapes.setdefault(database, Shapes())
        tables = list(counters.tables.values())[:_MOST_TABLES]
        last_numbers = {
            found.shape.oid: found.last_number
            for some in _parts(shapes.of(connection, tables))
            for found in find_rows(connection, some, RowsWanted())
            if found.last_number is not None
        }
        self._see(database, Sight(counters, last_numbers))

    def _next_xid(self, database: ServedDatabase) -> int | None:
        """Returns the next transaction's id; None if nobody tells."""
        try:
            with self._session.connected(self._reachable(database)) as connection:
                return read_counters(connection).next_xid
        except (PgwatchError, psycopg.Error):
            return None

    def _reachable(self, database: ServedDatabase) -> ServedDatabase:
        """Returns the database with a connection string, if one is known at all."""
        if database.dsn:
            return database
        base = self._active.dsn()
        if base is None:
            return database
        dsn = in_database(Dsn(base, "the settings"), database.name).value
        return ServedDatabase(database.host, database.port, database.name, dsn)


def _parts(shapes: Sequence[Shape]) -> Iterator[Sequence[Shape]]:
    for start in range(0, len(shapes), _TABLES_AT_ONCE):
        yield shapes[start : start + _TABLES_AT_ONCE]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
