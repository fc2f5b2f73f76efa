"""The order of a lock's queue, put together from what the server says of some who stand in it. Pure.

Whoever was asked names all ahead of it. So who is named by few is ahead of whoever only others name. Among
those whom the same one names first, the order is that in which the server names them: the one in which they
came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pgwatch_tests.locks.lock_queue import LockQueue, QueuePrefix
from pgwatch_tests.locks.model import Party

_SHORTEST = 8
"""Of fewer waiters, the blockers are kept one by one."""


@dataclass(frozen=True, slots=True)
class Told:
    """The blockers of one waiter, as the server names them."""

    waiter: Party
    blockers: Sequence[Party]


@dataclass(frozen=True, slots=True)
class Blockers:
    """The blockers of one who stands in the queue."""

    holders: Sequence[Party]
    ahead: QueuePrefix[Party]
    unseen: Sequence[Party]
    """Those of whom the lock table doesn't tell what they have or want."""


class QueueOrder:
    """The queue of those who want one lock in the same mode, which excludes itself."""

    def __init__(
        self,
        told: Iterable[Told],
        waiters: int,
        asking: Collection[Party],
        holding: Mapping[Party, str],
    ) -> None:
        """`told` are those who were asked, of so many `waiters`; `asking` are all who want the lock in a mode
        that conflicts, and aren't among those `holding` it in one."""
        self._told_by: dict[Party, Told] = {}
        """Of each who wasn't asked, the first behind it who was."""
        self._fitting: dict[Party, int] = {}
        self._holders: dict[Party, Sequence[Party]] = {}
        self._unseen: dict[Party, Sequence[Party]] = {}
        placed: dict[Party, None] = {}
        by_length = sorted(told, key=lambda one: (len(one.blockers), one.waiter))
        self._asked = {one.waiter for one in by_length}
        for one in by_length if waiters >= _SHORTEST else ():
            ahead = [blocker for blocker in one.blockers if blocker in asking]
            new = [blocker for blocker in ahead if blocker not in placed and blocker != one.waiter]
            placed.update(dict.fromkeys(new))
            self._told_by.update(dict.fromkeys(new, one))
            fits = one.waiter not in placed and len(ahead) == len(placed)
            if fits:
                self._fitting[one.waiter] = len(placed)
            placed.setdefault(one.waiter)
            if fits or new:
                others = [blocker for blocker in one.blockers if blocker not in asking]
                self._holders[one.waiter] = [blocker for blocker in others if blocker in holding]
                self._unseen[one.waiter] = [blocker for blocker in others if blocker not in holding]
        self._queue = LockQueue(tuple(placed))

    def blockers_of(self, waiter: Party) -> Blockers | None:
        """Returns the blockers of one who wasn't asked, or whose word fits into the queue.

        None if the word of one who was asked tells of another queue, or if nobody names one who wasn't; and
        where the queue is short.
        """
        length = self._fitting.get(waiter)
        if length is not None:
            return Blockers(self._holders[waiter], self._queue.first(length), self._unseen[waiter])
        told = self._told_by.get(waiter)
        if told is None or waiter in self._asked:
            return None
        unseen = self._unseen[told.waiter]
        if unseen:
            before = set(told.blockers[: told.blockers.index(waiter)])
            unseen = [one for one in unseen if one in before]
        return Blockers(self._holders[told.waiter], self._queue.first(self._queue.places[waiter]), unseen)
