"""What a look for orphans of one kind, or of several, has found, and what else its parts have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pgwatch_tests.sweep.model import Orphan

Stopped = Callable[[], bool]
"""Whether the sweep was told to end: asked before each thing."""


@dataclass(frozen=True, slots=True)
class Found:
    """The orphans, those that stay included, and a sentence for each thing that couldn't be looked at."""

    orphans: tuple[Orphan, ...] = ()
    not_checked: tuple[str, ...] = ()


def together(founds: Iterable[Found]) -> Found:
    """All of them as one, in their order."""
    several = tuple(founds)
    return Found(
        tuple(orphan for found in several for orphan in found.orphans),
        tuple(sentence for found in several for sentence in found.not_checked),
    )


def and_others(first: str, others: int) -> str:
    """`view public.v and 2 others`."""
    if others == 0:
        return first
    return f"{first} and {others:,} {'other' if others == 1 else 'others'}"
