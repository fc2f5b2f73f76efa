"""The lock table of one poll: lock rows by whose they are and by what they are on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from pgwatch_tests.locks.model import LockTag, Party, Wait
from pgwatch_tests.locks.snapshot.process_row import HIDDEN, LockColumns, ProcessRow, short_text
from pgwatch_tests.locks.waits import database_wait, lock_modes
from pgwatch_tests.locks.waits.statement_text import Effects, effects
from pgwatch_tests.postgres.stored_text import decode


@dataclass(frozen=True, slots=True)
class LockRow:
    """A lock that is held, or a request for one."""

    tag: LockTag
    mode: str
    granted: bool
    waitstart: float | None
    wait: Wait
    """The request, if it isn't granted. Its pid is the process's own: a parallel worker's, not its
    leader's."""


@lru_cache(maxsize=20_000)
def _lock_row(pid: int, *columns: *LockColumns) -> LockRow:
    """A row; made once, since most polls see those of the poll before, and compare them."""
    *_, virtualtransaction, mode, granted, waitstart = columns
    tag = _tag(*columns[:10])
    started = None if waitstart is None else datetime.fromtimestamp(waitstart, UTC)
    return LockRow(tag, mode, granted, waitstart, Wait(pid, virtualtransaction, tag, mode, started))


_tag = lru_cache(maxsize=20_000)(LockTag)


class Contest:
    """All who have, or want, a lock in a mode that conflicts with a request."""

    def __init__(self, mode: str, rows: Iterable[tuple[Party, LockRow]]) -> None:
        self.excludes_itself = lock_modes.conflict(mode, mode)
        self.holding: dict[Party, str] = {}
        """The holders, with the modes that they hold."""
        self.asking: set[Party] = set()
        """Those who merely want it."""
        for party, lock in rows:
            if lock_modes.conflict(mode, lock.mode):
                if lock.granted:
                    self.holding.setdefault(party, lock.mode)
                else:
                    self.asking.add(party)
        self.asking.difference_update(self.holding)


class Parties(dict[int, Party]):
    """Sessions by pid, each made once: a queue of hundreds names them again and again."""

    def __missing__(self, pid: int) -> Party:
        return self.setdefault(pid, Party(pid))


class LockTable:
    """The lock rows of all."""

    def __init__(self, rows: Sequence[ProcessRow]) -> None:
        self.parties = Parties()
        self.of: dict[Party, list[LockRow]] = {}
        self.statements: dict[Party, tuple[Effects | None, bool]] = {}
        """The effects of the statement of each session that waits for a transaction, and whether it is its
        first."""
        self.kinds: dict[Party, bytes] = {}
        """The first letters of what each runs, or ran last, in capitals."""
        self._on: dict[LockTag, list[tuple[Party, LockRow]]] = {}
        self._contests: dict[tuple[LockTag, str], Contest] = {}
        for row in rows:
            if row.locks:  # most have none, where nothing waits
                self._add(row, row.locks)

    def _add(self, row: ProcessRow, locks: Sequence[LockColumns]) -> None:
        pid = row.leader_pid or row.pid
        party = self.parties[pid] if pid else Party(0, short_text(row.gid) or "")
        if row.pid == pid:
            self.kinds[party] = (row.query or b"").lstrip()[:6].upper()
            if any(lock[0] == "transactionid" and not lock[12] for lock in locks):
                query = "" if row.query is None or row.query == HIDDEN else decode(row.query)
                is_first = row.xact_age_s is not None and row.xact_age_s == row.query_age_s
                self.statements[party] = effects(query), is_first
        own = self.of.setdefault(party, [])
        for columns in locks:
            lock = _lock_row(row.pid, *columns)
            own.append(lock)
            self._on.setdefault(lock.tag, []).append((party, lock))

    @property
    def wanted_databases(self) -> frozenset[int]:
        """Returns the databases that a session has, or wants, for itself."""
        return frozenset(
            tag.objid or 0
            for tag, rows in self._on.items()
            if any(database_wait.is_for_itself(tag, lock.mode) for _, lock in rows)
        )

    def requests(self, party: Party) -> list[LockRow]:
        """Returns what a party waits for; several where it has parallel workers."""
        return [lock for lock in self.of.get(party, ()) if not lock.granted]

    def contest(self, request: LockRow) -> Contest:
        """Returns the others that have, or want, what conflicts with a request."""
        key = request.tag, request.mode
        contest = self._contests.get(key)
        if contest is None:
            contest = self._contests[key] = Contest(request.mode, self._on[request.tag])
        return contest
