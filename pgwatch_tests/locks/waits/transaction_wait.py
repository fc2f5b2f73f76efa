"""Waits for a transaction's end: which row or unique key each is about, where no tuple lock tells. Pure.

Who meets an uncommitted entry with its own key in a unique index waits so (_bt_check_unique, nbtinsert.c).
But so does who waits for a *later version* of a row: third in line once the first has committed
(heapam_tuple_lock, heapam_handler.c), and the check of a foreign key to a row that was changed and then
deleted (heap_lock_updated_tuple, heapam.c). And so does who has locked the row already, together with others
(heap_update). What both sides have locked says which of them it can be; where several can, all are told.

Functions that a statement calls may write as well: these are reckoned with where nothing else explains it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pgwatch_tests.locks.model import Subject, TransactionWait
from pgwatch_tests.locks.waits.statement_text import Name, Write

FIRST_USER_OID = 16384  # FirstNormalObjectId, src/include/access/transam.h
_WITH_ROWS = ("table", "materialized view")
# The modes of tuple locks (tupleLockExtraInfo, src/backend/access/heap/heapam.c).
_FOR_KEY_SHARE = "AccessShareLock"
_FOR_UPDATE = "AccessExclusiveLock"
_FOR_NO_KEY_UPDATE = "ExclusiveLock"


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    """An index whose entries mustn't conflict: of a unique or exclusion constraint, too."""

    oid: int
    columns: frozenset[str] | None
    """The columns that it depends on, with its expressions and condition; None if that can change by
    itself."""
    is_deferrable: bool = False


@dataclass(frozen=True, slots=True)
class LockedTable:
    """A relation that a session has locked, by the catalogs."""

    oid: int
    names: frozenset[Name]
    """Schema and name: its own, and those of the tables that it is a partition or child of."""
    kind: str
    unique_indexes: tuple[UniqueIndex, ...] = ()
    referencing: frozenset[int] = frozenset()
    """The tables with a foreign key to this one."""
    runs_code: bool = False
    """Whether writing to it runs triggers or rules of the application's own."""

    @property
    def has_rows(self) -> bool:
        """Whether it holds rows itself, as a partitioned table or an index doesn't."""
        return self.kind in _WITH_ROWS


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """A visible row that a transaction has changed, deleted or locked."""

    page: int
    offset: int
    pids: frozenset[int] = frozenset()
    """The sessions (pids) that have locked it together; empty if the transaction is alone."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The tables whose row, or unique key, a wait can be about by the locks of both sides."""

    rows: tuple[int, ...]
    shared: frozenset[int]
    """The tables of `rows` whose row both sides must have locked before."""
    keys: tuple[int, ...]


Changes = Callable[[int], Sequence[ChangedRow] | None]
"""The rows of a table that the blocker has changed or locked; None if that isn't known."""


def candidates(sides: TransactionWait, tables: Mapping[int, LockedTable]) -> Candidates | None:
    """Returns what the wait can be about; None if a table that matters isn't known."""
    own, others = {*sides.written, *sides.locked}, {*sides.blocker_written, *sides.blocker_locked}
    if any(oid not in tables for oid in own & others):
        return None
    if sides.queued_row is not None:
        return Candidates((sides.queued_row[0],), frozenset(), ())
    reach = _Reach(sides, {oid: tables[oid] for oid in own if oid in tables})
    rows: list[int] = []
    shared: set[int] = set()
    for oid in sorted(own & others):
        if oid < FIRST_USER_OID or not tables[oid].has_rows or not reach.locks(oid):
            continue
        if oid in sides.blocker_written:
            rows.append(oid)
            if not reach.changes(oid):
                shared.add(oid)
        elif oid in sides.written or reach.locks_for_more_than_a_key:
            # For rows that the blocker has merely locked, only other lockers of them wait like this.
            rows.append(oid)
            shared.add(oid)
    both_write = sorted({*sides.written} & {*sides.blocker_written})
    keys = [oid for oid in both_write if reach.writes_key(oid) and _checks_keys(tables[oid], sides)]
    return Candidates(tuple(rows), frozenset(shared), tuple(keys))


def _checks_keys(table: LockedTable, sides: TransactionWait) -> bool:
    """Whether the waiter can be at a check of the table's unique indexes.

    A statement that writes keys has all of them open as long as it runs (ExecOpenIndices, execIndexing.c); a
    check at the end has its own one open (unique_key_recheck, src/backend/commands/constraint.c). So an
    earlier INSERT can't be it. An UPDATE or DELETE can: their planner's locks on indexes stay.
    """
    indexes = table.unique_indexes
    if not table.has_rows or not indexes:
        return False
    return all(index.oid in sides.written for index in indexes) or any(
        index.is_deferrable and index.oid in sides.locked for index in indexes
    )


@dataclass
class _Reach:
    """The tables whose rows the waiter's statement can lock, or whose keys it can write."""

    sides: TransactionWait
    tables: Mapping[int, LockedTable]
    """Those that the waiter has locked."""
    _may_do_anything: bool = False
    _changed: set[int] = field(default_factory=set)
    _locked: set[int] = field(default_factory=set)
    _keys: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        effects = self.sides.effects
        if effects is None or not (effects.writes or effects.locks_rows):
            self._may_do_anything = True
            return
        if effects.locks_rows:
            self._changed |= {*self.sides.locked}
        for write in effects.writes:
            self._add(write)
        if len(effects.writes) == 1 and not effects.locks_rows and not self._may_do_anything:
            self._leave_out_keys_checked_before(effects.writes[0])

    def locks(self, oid: int) -> bool:
        return self._may_do_anything or oid in self._changed or oid in self._locked

    def changes(self, oid: int) -> bool:
        """Whether it can wait for a later version of a row, not only for those who share its lock."""
        return self._may_do_anything or oid in self._changed

    def writes_key(self, oid: int) -> bool:
        return self._may_do_anything or oid in self._keys

    @property
    def locks_for_more_than_a_key(self) -> bool:
        """Whether it may lock rows that it doesn't write in other ways than checks of foreign keys do."""
        effects = self.sides.effects
        return effects is None or effects.locks_rows or not effects.writes

    def _add(self, write: Write) -> None:
        targets = self._targets(write)
        if not targets or any(self.tables[oid].runs_code for oid in targets):
            # A view, or triggers and rules of the application's own.
            self._may_do_anything = True
        for oid in targets:
            if write.verb != "INSERT" and write.updates:
                self._changed.add(oid)
            elif write.updates:
                self._locked.add(oid)
            if _may_write_key(write, self.tables[oid]):
                self._keys.add(oid)
            if write.verb != "DELETE":
                self._changed |= self._referred_to(oid)
            if write.updates:
                self._add_referencing(oid)

    def _targets(self, write: Write) -> list[int]:
        return [oid for oid, table in self.tables.items() if _is_target(write, table)]

    def _referred_to(self, oid: int) -> set[int]:
        """The tables whose rows a foreign key's check of that table locks."""
        return {
            other
            for other in self.sides.locked
            if other in self.tables and oid in self.tables[other].referencing
        }

    def _add_referencing(self, oid: int) -> None:
        """The tables that a foreign key's action changes or looks into, and those behind them."""
        todo, seen = [oid], {oid}
        while todo:
            for child in self.tables[todo.pop()].referencing - seen:
                seen.add(child)
                if child in self.tables:
                    todo.append(child)
                    self._changed.add(child)
                    self._keys.add(child)
                    self._may_do_anything |= self.tables[child].runs_code

    def _leave_out_keys_checked_before(self, write: Write) -> None:
        """Foreign keys are checked at the end of an INSERT, when all its unique keys have been."""
        if write.verb not in ("INSERT", "COPY") or not self.sides.is_first_statement:
            return
        targets = self._targets(write)
        if any(index.is_deferrable for oid in targets for index in self.tables[oid].unique_indexes):
            return
        if any(self._referred_to(oid) for oid in targets):
            self._keys.difference_update(targets)


def _may_write_key(write: Write, table: LockedTable) -> bool:
    if write.verb == "DELETE":
        return False
    columns = write.columns
    return columns is None or any(
        index.columns is None or index.columns & columns for index in table.unique_indexes
    )


def refined(subject: Subject, tables: Mapping[int, LockedTable], changes: Changes) -> Subject:
    """`subject`, a wait for a transaction, as the row or key that it is about; as it is if nothing tells."""
    sides = subject.sides
    if sides is None or subject.kind != "transaction":
        return subject
    found = candidates(sides, tables)
    if found is None:
        return subject
    rows: list[int] = []
    places: list[ChangedRow] = []
    for oid in found.rows:
        changed = changes(oid)
        if changed is not None and oid in found.shared:
            changed = [row for row in changed if sides.pid in row.pids]
        if changed is None or changed or sides.queued_row is not None:
            rows.append(oid)
            places += changed or ()
    if not rows and not found.keys:
        return subject
    if not rows:
        return replace(subject, kind="unique_key", relations=found.keys, transaction=sides.transaction)
    subject = replace(
        subject,
        kind="row_or_key" if found.keys else "row",
        relations=tuple(rows),
        keys=found.keys,
        transaction=sides.transaction,
    )
    if len(rows) > 1:
        return subject
    if len(places) == 1:
        subject = replace(subject, page=places[0].page, offset=places[0].offset)
    return _with_foreign_key(subject, sides, tables[rows[0]])


def visible(subject: Subject, changes: Changes) -> Subject:
    """`subject`, a row at a place where nobody sees it, at the place of the version that others see.

    A transaction's own version is seen by nobody else; one that has been changed since, and committed, by
    nobody at all (heap_lock_updated_tuple waits with the lock of that one).
    """
    sides = subject.sides
    if sides is None or subject.kind != "row":
        return subject
    rows = changes(subject.relations[0]) or ()
    rows = [row for row in rows if sides.pid in row.pids] or rows
    return replace(subject, page=rows[0].page, offset=rows[0].offset) if len(rows) == 1 else subject


def _with_foreign_key(subject: Subject, sides: TransactionWait, table: LockedTable) -> Subject:
    """Adds the side that may have locked the row for a foreign key's check, and the waiter's lock mode."""
    effects = sides.effects
    if table.oid not in sides.written and not (effects and effects.locks_rows):
        return replace(subject, referencing=sides.written, checking="waiter", wanted_mode=_FOR_KEY_SHARE)
    verbs = _verbs(effects.writes if effects else (), table)
    mode = _FOR_UPDATE if "DELETE" in verbs else _FOR_NO_KEY_UPDATE if verbs else ""
    if table.oid not in sides.blocker_written:
        return replace(subject, referencing=sides.blocker_written, checking="blocker", wanted_mode=mode)
    return replace(subject, wanted_mode=mode)


def _verbs(writes: Iterable[Write], table: LockedTable) -> set[str]:
    return {write.verb for write in writes if write.updates and _is_target(write, table)}


def _is_target(write: Write, table: LockedTable) -> bool:
    return any(name[-len(write.table) :] == write.table[-2:] for name in table.names)
