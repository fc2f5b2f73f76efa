"""Edge groups with the names of what is waited for, as far as they are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from pgwatch_tests.locks.model import EdgeGroup, LockSnapshot, Subject, WaitedLock
from pgwatch_tests.locks.naming.row_lookups import LockedRows
from pgwatch_tests.locks.waits import wait_target
from pgwatch_tests.locks.waits.wait_target import Names


def named_groups(
    snapshot: LockSnapshot, names: Names, refined: Callable[[Subject], Subject], rows: LockedRows
) -> Iterator[EdgeGroup]:
    """Yields the groups of a snapshot with `names`; `refined` tells more of waits for a transaction."""
    # By identity: thousands in a queue share what they wait for, and to compare it takes longer.
    known: dict[tuple[int, int], tuple[Subject, WaitedLock]] = {}
    for group in snapshot.groups:
        if group.subject is None:
            yield group
            continue
        key = id(group.subject), id(group.lock)
        found = known.get(key)
        if found is None:
            subject = refined(group.subject)
            found = known[key] = subject, _named_lock(group.lock, subject, names)
        subject, lock = found
        if subject.transaction is not None:
            # Who else has locked the row differs from waiter to waiter.
            others = rows.also_held_by(replace(group, subject=subject), snapshot)
            lock = replace(lock, also_held_by=others) if others else lock
        yield EdgeGroup(
            group.waiter,
            group.blockers,
            group.kind,
            lock,
            group.wait,
            group.wait_s,
            subject,
            group.confirmed,
        )


def _named_lock(lock: WaitedLock, subject: Subject, names: Names) -> WaitedLock:
    return replace(
        lock,
        target=wait_target.in_words(subject, names),
        object=wait_target.object_in_words(subject, names),
        ancestors=wait_target.ancestors(subject, names),
        foreign_key_of=wait_target.foreign_key_of(subject, names),
        also_held_by=(),
    )
