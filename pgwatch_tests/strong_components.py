"""Strongly connected components of a directed graph. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol, Self, TypeVar


class Orderable(Protocol):
    """What can be hashed and put in order."""

    def __lt__(self, other: Self, /) -> bool: ...

    def __hash__(self) -> int: ...


N = TypeVar("N", bound=Orderable)


def strongly_connected(successors: Mapping[N, Collection[N]]) -> list[set[N]]:
    """All components, single nodes too, each after those that it leads to (Tarjan 1972, without recursion).

    The nodes are the keys and all that they lead to; the order is the same for the same graph.
    """
    index: dict[N, int] = {}
    low: dict[N, int] = {}
    stack: list[N] = []
    on_stack: set[N] = set()
    found: list[set[N]] = []
    for start in sorted(successors):
        if start in index:
            continue
        work = [(start, iter(sorted(successors[start])))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, following = work[-1]
            advanced = False
            for successor in following:
                if successor not in index:
                    index[successor] = low[successor] = len(index)
                    stack.append(successor)
                    on_stack.add(successor)
                    work.append((successor, iter(sorted(successors.get(successor, ())))))
                    advanced = True
                    break
                if successor in on_stack:
                    low[node] = min(low[node], index[successor])
            if advanced:
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[node])
            if low[node] == index[node]:
                component: set[N] = set()
                while node not in component:
                    member = stack.pop()
                    on_stack.discard(member)
                    component.add(member)
                found.append(component)
    return found
