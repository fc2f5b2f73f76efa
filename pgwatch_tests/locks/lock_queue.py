"""Lock queues: who stands in one, and the beginning of it that each of them waits for. Pure.

Who queues 2,000th is blocked by 1,999. Kept one by one, the blockers of 2,000 waiters are two million; but
each waits for a beginning of the same queue, so that a length tells them.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from itertools import accumulate, islice
from typing import Generic, TypeVar, cast, overload

N = TypeVar("N", bound=Hashable)


class LockQueue(Generic[N]):
    """A queue for one lock: its members from the front to the end, each once."""

    __slots__ = ("_other", "_reach", "_shared", "members", "places")

    def __init__(self, members: Sequence[N]) -> None:
        self.members: tuple[N, ...] = tuple(members)
        self.places: dict[N, int] = {member: place for place, member in enumerate(self.members)}
        """How many are ahead of each."""
        # What was found of the other queue that it was compared with last.
        self._other: LockQueue[N] | None = None
        self._shared = 0
        self._reach: list[int] = []

    def first(self, length: int) -> QueuePrefix[N]:
        """Returns that many of its members, from the front."""
        return QueuePrefix(self, length)

    def shared_with(self, other: LockQueue[N]) -> int:
        """Returns how many members, from the front, the two have in common in the same order."""
        self._compare(other)
        return self._shared

    def reach_in(self, other: LockQueue[N]) -> Sequence[int]:
        """Returns how much of `other` holds the first member, the first two, and so on; a length beyond it
        where one of them isn't in it."""
        self._compare(other)
        return self._reach

    def _compare(self, other: LockQueue[N]) -> None:
        # Remembered: thousands of waiters of one poll are compared with those of the poll before.
        if self._other is other:
            return
        pairs = zip(self.members, other.members, strict=False)
        least = min(len(self.members), len(other.members))
        self._shared = next((place for place, (one, two) in enumerate(pairs) if one != two), least)
        nowhere = len(other.members)
        needed = (other.places.get(member, nowhere) + 1 for member in self.members)
        self._reach = list(accumulate(needed, max))
        self._other = other


class QueuePrefix(Sequence[N]):
    """The first members of a queue: those ahead of whoever waits for them. It equals no other sequence."""

    __slots__ = ("length", "queue")

    def __init__(self, queue: LockQueue[N], length: int) -> None:
        self.queue = queue
        self.length = length

    def is_within(self, other: QueuePrefix[N]) -> bool:
        """Whether all of them are among `other` as well."""
        if self.queue is other.queue or not self.length:
            return self.length <= other.length
        return self.queue.reach_in(other.queue)[self.length - 1] <= other.length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[N]:
        return islice(self.queue.members, self.length)

    def __contains__(self, member: object) -> bool:
        return self.queue.places.get(cast(N, member), self.length) < self.length

    @overload
    def __getitem__(self, place: int) -> N: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[N, ...]: ...

    def __getitem__(self, place: int | slice) -> N | tuple[N, ...]:
        if isinstance(place, slice):
            # Not a slice of a slice: the first one would be as long as the queue.
            places = range(self.length)[place]
            if places.step == 1:
                return self.queue.members[places.start : places.stop]
            return tuple(self.queue.members[one] for one in places)
        if not -self.length <= place < self.length:
            raise IndexError(place)
        return self.queue.members[place if place >= 0 else self.length + place]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QueuePrefix):
            return NotImplemented
        return self.length == other.length and (
            self.queue is other.queue or self.queue.shared_with(other.queue) >= self.length
        )

    def __hash__(self) -> int:
        return hash((self.length, *self[:1], *self[-1:])) if self.length else 0

    def __repr__(self) -> str:
        return f"QueuePrefix({self[:]!r})"


def is_within(some: Collection[N], others: Collection[N]) -> bool:
    """Whether all of `some` are among `others`."""
    if isinstance(some, QueuePrefix) and isinstance(others, QueuePrefix):
        return some.is_within(others)
    return all(one in others for one in some)
