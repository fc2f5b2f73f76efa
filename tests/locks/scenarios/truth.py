"""What a scenario is, and what is true of it: who waits for whom, by the names of the parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pgwatch_tests.locks.model import EdgeKind
from tests.locks.scenarios.cast import Cast

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Link:
    """`waiter` waits for `blocker`. An empty `target` isn't compared: the server doesn't tell it."""

    waiter: str
    blocker: str
    kind: EdgeKind
    target: str = ""
    also_held_by: tuple[str, ...] = ()
    """Others that hold the same row in a mode that is in the waiter's way."""


def hard(waiter: str, blocker: str, target: str = "", also_held_by: tuple[str, ...] = ()) -> Link:
    """`blocker` holds what `waiter` wants."""
    return Link(waiter, blocker, "hard", target, also_held_by)


def soft(waiter: str, blocker: str, target: str = "") -> Link:
    """`blocker` is queued ahead of `waiter`."""
    return Link(waiter, blocker, "soft", target)


def connected(waiter: str, blocker: str, target: str) -> Link:
    """`blocker` is connected to the database that `waiter` needs for itself; the server calls it no wait."""
    return Link(waiter, blocker, "connected", target)


@dataclass(frozen=True, slots=True)
class Truth:
    """All edges, all root blockers, all that mustn't be accused: whoever plays is in one of them."""

    edges: tuple[Link, ...] = ()
    roots: Mapping[str, int] = field(default_factory=dict)
    """Root blockers, with how many wait for each, directly or through others."""
    innocents: tuple[str, ...] = ()
    deadlocks: tuple[tuple[str, ...], ...] = ()
    """Cycles, each part waiting for the next one."""
    causes: Mapping[str, str] = field(default_factory=dict)
    """The diagnosis of some roots: its id."""
    said: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What is said of some roots, in the explanation or as advice."""
    unsaid: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What would be wrong to say of them."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A play that ends in a lasting state of waiting."""

    name: str
    play: Callable[[Cast], Truth]
    since: int
    """The first major version that can do it."""
    because: str
    """Why older ones can't."""
    settings: Mapping[str, str]
    """If there are any, it has a server of its own with these."""

    def __str__(self) -> str:
        return self.name


def scenario(
    since: int = 13, because: str = "", settings: Mapping[str, str] = _NOTHING
) -> Callable[[Callable[[Cast], Truth]], Scenario]:
    """Makes a scenario of a function."""

    def made(play: Callable[[Cast], Truth]) -> Scenario:
        return Scenario(play.__name__, play, since, because, settings)

    return made


def in_turn(cycle: Iterable[str]) -> tuple[str, ...]:
    """A cycle turned so that its first name is the smallest."""
    names = list(cycle)
    first = names.index(min(names))
    return tuple(names[first:] + names[:first])
