"""Blockers as documents tell them: of a long queue, those next ahead. Pure.

Whoever waits behind one in a queue waits behind all whom that one waits for. So nothing is lost, and 2,000 in
a queue are no document of two million edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pgwatch_tests.locks.lock_queue import QueuePrefix
from pgwatch_tests.locks.model import Edge, EdgeGroup, Party

LONGEST_TOLD = 100
"""Of a longer queue, only the next ahead are told."""
_NEXT_AHEAD = 10


def told_blockers(group: EdgeGroup) -> tuple[Sequence[Party], int]:
    """Returns the blockers that are told, and how many more are ahead of these in the queue."""
    blockers = group.blockers
    if not isinstance(blockers, QueuePrefix) or len(blockers) <= LONGEST_TOLD:
        return blockers, 0
    return blockers[-_NEXT_AHEAD:], len(blockers) - _NEXT_AHEAD


def told_edges(groups: Iterable[EdgeGroup]) -> Iterator[tuple[Edge, int]]:
    """Yields the edges to these, each with that number."""
    for group in groups:
        blockers, more = told_blockers(group)
        for blocker in blockers:
            yield group.edge(blocker), more
