"""Conflicts between steps, by the locks that each of them took: does the order of two steps matter? Pure.

A step is put down to everything that its transaction has locked so far: the lock table doesn't tell a second
read of a table. Modes and their conflicts are those of the PostgreSQL manual, "Explicit Locking"; what a
statement sees is told by its chapter "Transaction Isolation":

- A statement sees what was committed when it began, so a read conflicts with the COMMIT of a write, not with
  the write.
- A write, or a lock of rows, waits for whoever has written or locked the same rows. Rows aren't told apart.
- A sequence moves at once, whether its transaction commits or not.
- A transaction above READ COMMITTED reads all tables as they were at its first statement.
- Which of several serializable transactions fails may depend on any of their steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce

from pgwatch_tests.locks.waits import lock_modes

Resource = tuple[str, ...]
"""What can be locked: its kind (`relation`, `sequence`, `advisory` …), then what identifies it."""
Modes = int
"""A set of lock modes: the bit of a mode is 1 << its place in `LOCK_MODES`."""

LOCK_MODES = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
_ROWS = 0b11111110
_WRITES = 0b11111100


def modes(*names: str) -> Modes:
    """Returns the set of these lock modes. Raises ValueError for one that isn't a table's or a key's."""
    return reduce(lambda all_, name: all_ | 1 << LOCK_MODES.index(name), names, 0)


_CONFLICTS = tuple(
    modes(*(other for other in LOCK_MODES if lock_modes.conflict(mode, other))) for mode in LOCK_MODES
)


@dataclass(frozen=True, slots=True)
class Touch:
    """What a step touched, as far as others can tell."""

    takes: Mapping[Resource, Modes] = field(default_factory=dict)
    """What its statement may have read, written or waited for."""
    frees: Mapping[Resource, Modes] = field(default_factory=dict)
    """What the transaction held that the step ended."""
    begins_snapshot: bool = False
    """Whether later statements read as of this step."""
    is_unknown: bool = False
    """Whether it may have touched anything: locks of failed and of autocommitted statements are gone."""

    @property
    def is_nothing(self) -> bool:
        """Whether it took and freed no lock, so that only its order with an unknown step can matter."""
        return not (self.takes or self.frees or self.begins_snapshot or self.is_unknown)


def conflict(one: Touch, other: Touch) -> bool:
    """Whether the order of two steps can matter. True where that isn't known."""
    if one.is_unknown or other.is_unknown:
        # Also where the other one took no lock: to_regclass() reads what DDL has made without one.
        return True
    if one.is_nothing or other.is_nothing:
        return False
    if (one.begins_snapshot and _frees_a_write(other)) or (other.begins_snapshot and _frees_a_write(one)):
        return True
    return (
        any(
            _both_take(resource, one.takes[resource], other.takes[resource])
            for resource in _shared(one, other)
        )
        or _takes_what_is_freed(one, other)
        or _takes_what_is_freed(other, one)
    )


def union(touches: Iterable[Touch]) -> Touch:
    """Returns what several parts of one step touched."""
    takes: dict[Resource, Modes] = {}
    frees: dict[Resource, Modes] = {}
    begins_snapshot = is_unknown = False
    for touch in touches:
        for all_, more in ((takes, touch.takes), (frees, touch.frees)):
            for resource, taken in more.items():
                all_[resource] = all_.get(resource, 0) | taken
        begins_snapshot |= touch.begins_snapshot
        is_unknown |= touch.is_unknown
    return Touch(takes, frees, begins_snapshot, is_unknown)


def _shared(one: Touch, other: Touch) -> Iterable[Resource]:
    return one.takes.keys() & other.takes.keys()


def _frees_a_write(touch: Touch) -> bool:
    return any(held & _WRITES for held in touch.frees.values())


def _both_take(resource: Resource, one: Modes, other: Modes) -> bool:
    if resource[0] == "sequence" and (one | other) & _WRITES:
        return True
    return _exclude(one, other) or (resource[0] == "relation" and bool(one & _ROWS and other & _ROWS))


def _takes_what_is_freed(taker: Touch, freer: Touch) -> bool:
    for resource in taker.takes.keys() & freer.frees.keys():
        taken, held = taker.takes[resource], freer.frees[resource]
        if _exclude(taken, held) or held & _WRITES or (taken & _ROWS and held & _ROWS):
            return True
    return False


def _exclude(one: Modes, other: Modes) -> bool:
    return any(one >> place & 1 and _CONFLICTS[place] & other for place in range(len(LOCK_MODES)))
