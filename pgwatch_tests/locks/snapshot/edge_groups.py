"""Edge groups of one poll: from the lock rows and the server's word on blockers, who waits for whom. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from pgwatch_tests.locks.model import (
    EdgeGroup,
    EdgeKind,
    LockTag,
    Party,
    Subject,
    TransactionWait,
    WaitedLock,
)
from pgwatch_tests.locks.snapshot.lock_table import Contest, LockRow, LockTable
from pgwatch_tests.locks.snapshot.process_row import OURS, ProcessRow, short_text
from pgwatch_tests.locks.snapshot.queue_order import QueueOrder, Told
from pgwatch_tests.locks.waits import wait_target
from pgwatch_tests.locks.waits.transaction_wait import FIRST_USER_OID

_WRITES = "RowExclusiveLock"
_LOCKS_ROWS = "RowShareLock"
# A tuple lock in this mode is SELECT FOR KEY SHARE's, which is how foreign keys are checked
# (tupleLockExtraInfo, src/backend/access/heap/heapam.c).
_KEY_SHARE = "AccessShareLock"
_GRANTS = {b"GRANT ", b"REVOKE"}
_SAFE_SNAPSHOT = "safe snapshot (DEFERRABLE transaction)"
_NAMES_BLOCKER = ("transactionid", "virtualxid")
"""The types of locks whose subject depends on who has them."""


_waited_lock = lru_cache(maxsize=1_000)(WaitedLock)


@dataclass(frozen=True, slots=True)
class _Waiter:
    row: ProcessRow
    party: Party
    requests: Sequence[tuple[LockRow, Contest]]
    """What it waits for; several where it has parallel workers."""
    told: Told | None
    """What the server says; None if it wasn't asked."""


def edge_groups(rows: Iterable[ProcessRow], table: LockTable, sampled_at: float) -> Iterator[EdgeGroup]:
    """Yields the edges of all that wait for a lock or a safe snapshot.

    Our own look-ups are left out, which give up in a moment.
    """
    others = [row for row in rows if row.application_name != OURS]
    waiters = [_waiter(row, table) for row in others if row.locks or row.blockers]
    orders, facts = _orders(waiters), _Facts(table, sampled_at)
    for one in waiters:
        if one.requests:  # it may have got its lock between the list of waiters and the list of locks
            order = orders.get(one.requests[0][1]) if len(one.requests) == 1 else None
            yield from _groups(one, order, facts)
    for row in others:
        blockers = {table.parties[pid] for pid in row.safe_snapshot_blockers or () if pid != row.pid}
        if blockers:
            lock = _waited_lock("safe_snapshot", "", None, _SAFE_SNAPSHOT, _SAFE_SNAPSHOT)
            yield EdgeGroup(
                table.parties[row.pid], tuple(sorted(blockers)), "safe_snapshot", lock, None, row.state_age_s
            )


def _waiter(row: ProcessRow, table: LockTable) -> _Waiter:
    party = table.parties[row.pid] if row.pid else Party(0, short_text(row.gid) or "")
    requests = [(request, table.contest(request)) for request in table.requests(party)]
    if row.blockers is None:
        return _Waiter(row, party, requests, None)
    # Each once: a blocker is named for each of its parallel workers; a leader isn't its own blocker.
    blockers = dict.fromkeys(map(table.parties.__getitem__, row.blockers))
    blockers.pop(party, None)
    if Party(0) in blockers:
        # Prepared transactions are all pid 0: those that hold what is asked for are meant.
        holders = {holder for _, contest in requests for holder in contest.holding if not holder.pid}
        if holders:
            del blockers[Party(0)]
            blockers.update(dict.fromkeys(holders))
    return _Waiter(row, party, requests, Told(party, tuple(blockers)))


def _orders(waiters: Iterable[_Waiter]) -> Mapping[Contest, QueueOrder]:
    """The queues of those that want the same, in a mode that excludes itself."""
    found: dict[Contest, list[_Waiter]] = {}
    for one in waiters:
        if len(one.requests) == 1 and one.requests[0][1].excludes_itself:
            found.setdefault(one.requests[0][1], []).append(one)
    return {
        contest: QueueOrder(
            [one.told for one in queued if one.told], len(queued), contest.asking, contest.holding
        )
        for contest, queued in found.items()
    }


def _groups(waiter: _Waiter, order: QueueOrder | None, facts: _Facts) -> Iterator[EdgeGroup]:
    """The edges of one waiter; none if nobody in its queue names it any more."""
    left: Sequence[Party]
    ahead: Sequence[Party] | None = None
    known = order.blockers_of(waiter.party) if order else None
    if known is not None:
        left, ahead = [*known.holders, *known.unseen], known.ahead
    elif waiter.told is not None:
        left = waiter.told.blockers
    else:
        return
    for request, contest in waiter.requests:
        holders = [one for one in left if one in contest.holding]
        if holders:
            yield from facts.holding(waiter, request, contest, holders)
            left = [one for one in left if one not in contest.holding]
    for request, contest in waiter.requests:
        queued = ahead or tuple(sorted(one for one in left if one in contest.asking))
        if queued:
            yield facts.group(waiter, "soft", request, None, queued)
            left = [one for one in left if one not in contest.asking]
    if left:
        # The lock rows are a moment older than the blockers: it took or gave back the lock in between.
        yield facts.group(waiter, "hard", waiter.requests[0][0], None, tuple(sorted(left)))


class _Facts:
    """What the edges of one poll have in common."""

    def __init__(self, table: LockTable, sampled_at: float) -> None:
        self._table = table
        self._sampled_at = sampled_at
        self._abouts: dict[LockTag, Subject] = {}
        """The subjects of those locks that are the same for all."""

    def group(
        self,
        waiter: _Waiter,
        kind: EdgeKind,
        request: LockRow,
        held_mode: str | None,
        blockers: Sequence[Party],
    ) -> EdgeGroup:
        return EdgeGroup(
            waiter.party,
            blockers,
            kind,
            _waited_lock(request.tag.type, request.mode, held_mode, ""),
            request.wait,
            None if request.waitstart is None else max(0.0, self._sampled_at - request.waitstart),
            self._subject(waiter.party, request, blockers[0]),
        )

    def holding(
        self, waiter: _Waiter, request: LockRow, contest: Contest, holders: Sequence[Party]
    ) -> Iterator[EdgeGroup]:
        """The edges to holders: a group for each mode and subject."""
        alike: dict[tuple[str, Subject | None], list[Party]] = {}
        for holder in holders:
            # A single one needs no telling apart.
            about = self._subject(waiter.party, request, holder) if len(holders) > 1 else None
            alike.setdefault((contest.holding[holder], about), []).append(holder)
        for (held_mode, _), parties in alike.items():
            yield self.group(waiter, "hard", request, held_mode, tuple(sorted(parties)))

    def _subject(self, waiter: Party, request: LockRow, blocker: Party) -> Subject:
        if request.tag.type in _NAMES_BLOCKER:
            return self._subject_of(waiter, request, blocker)
        about = self._abouts.get(request.tag)
        if about is None:
            about = self._abouts[request.tag] = wait_target.subject(request.tag, (), blocker)
        if about.kind == "row" and about.relations[0] < FIRST_USER_OID:
            return self._of_catalog(about, waiter, blocker)
        return about

    def _of_catalog(self, about: Subject, waiter: Party, blocker: Party) -> Subject:
        kinds = {self._table.kinds.get(waiter), self._table.kinds.get(blocker)}
        return replace(about, words=wait_target.PRIVILEGES if kinds & _GRANTS else wait_target.DEFINITION)

    def _subject_of(self, waiter: Party, request: LockRow, blocker: Party) -> Subject:
        """The subject of a wait for a transaction's end."""
        waiters, blockers = self._table.of[waiter], self._table.of.get(blocker, [])
        tuples_held = [lock for lock in waiters if lock.granted and lock.tag.type == "tuple"]
        about = wait_target.subject(request.tag, [lock.tag for lock in tuples_held], blocker)
        if about.kind == "row" and about.relations[0] < FIRST_USER_OID:
            about = self._of_catalog(about, waiter, blocker)
        transaction = request.tag.transactionid
        if transaction is None or request.tag.type != "transactionid":
            return about
        sides = TransactionWait(
            waiter.pid,
            transaction,
            _relations(waiters, _WRITES),
            _relations(waiters, _LOCKS_ROWS),
            _relations(blockers, _WRITES),
            _relations(blockers, _LOCKS_ROWS),
            *self._table.statements.get(waiter, (None, False)),
        )
        if about.kind != "row":
            databases = [lock.tag.database for lock in waiters if lock.tag.relation and lock.tag.database]
            return replace(about, database=databases[0] if databases else None, sides=sides)
        about = replace(about, wanted_mode=tuples_held[0].mode, sides=sides)
        if about.wanted_mode == _KEY_SHARE:
            return replace(about, referencing=sides.written, checking="waiter")
        if about.relations[0] not in sides.blocker_written and about.relations[0] in sides.blocker_locked:
            return replace(about, referencing=sides.blocker_written, checking="blocker")
        return about


def _relations(locks: Sequence[LockRow], mode: str) -> tuple[int, ...]:
    """The relations that are held in `mode`."""
    held = (
        lock.tag.relation
        for lock in locks
        if lock.granted and lock.mode == mode and lock.tag.type == "relation"
    )
    return tuple(sorted({oid for oid in held if oid is not None}))
