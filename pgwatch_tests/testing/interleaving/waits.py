"""Waits of actors for each other: who is blocked, who is free again, which waits are a deadlock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgwatch_tests.testing.interleaving.actor import Actor
from pgwatch_tests.testing.interleaving.monitor import Monitor


class InterleaveError(Exception):
    """A run that can't go on, and why."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Asks the server about the sessions of these actors."""

    actors: Sequence[Actor]

    def owner(self, pid: int) -> Actor | None:
        """Returns whose session a process is; None: nobody's of the run."""
        return next((one for one in self.actors if pid in one.sessions), None)

    def holds_up(self, actor: Actor) -> bool:
        """Whether another actor keeps an actor waiting. Raises InterleaveError if it waits for itself."""
        session = actor.session
        if session is None or session.monitor is None or session.is_closed:
            return False
        others = {self.owner(blocker) for _, blocker in session.monitor.blockers([session.pid])}
        if actor in others:
            text = "" if actor.trip is None else actor.trip.text
            raise InterleaveError(
                f"actor {actor.letter} waits for itself: {text!r} needs a lock that another connection of "
                "its own holds, so it would wait forever"
            )
        return bool(others - {None})

    def free(self) -> list[Actor]:
        """Returns actors that waited and don't any more, in the order in which they came."""
        waiting = [one for one in self.actors if one.blocked_since]
        by_monitor: dict[Monitor, list[int]] = {}
        for actor in waiting:
            if actor.session is not None and actor.session.monitor is not None:
                by_monitor.setdefault(actor.session.monitor, []).append(actor.session.pid)
        still = {
            waiter
            for monitor, pids in by_monitor.items()
            for waiter, blocker in monitor.blockers(pids)
            if self.owner(blocker) is not None
        }
        return [
            one
            for one in sorted(waiting, key=lambda one: one.blocked_since)
            if one.state != "blocked" or one.session is None or one.session.pid not in still
        ]

    def deadlock(self) -> list[Actor] | None:
        """Returns the actors of a cycle of waits, whoever has waited longest first; None if there is none.

        That one is whom the server ends, where all waits began within deadlock_timeout: it looks first
        (ProcSleep, src/backend/storage/lmgr/proc.c). A cycle through a session that is only queued ahead
        doesn't count: the server may put others first. Raises InterleaveError for a cycle that the server
        can't see.
        """
        waiting = {one.session.pid: one for one in self.actors if one.state == "blocked" and one.session}
        if len(waiting) < 2:
            return None
        monitors = {one.session.monitor for one in waiting.values() if one.session and one.session.monitor}
        waits = [wait for monitor in monitors for wait in monitor.hard_waits(list(waiting))]
        for start in waiting.values():
            cycle = _cycle(start, waits, waiting, self.owner)
            if cycle is None:
                continue
            pids = {one.session.pid for one in cycle if one.session}
            if {waiter for waiter, blocker in waits if waiter in pids and blocker in pids} != pids:
                letters = " → ".join(one.letter for one in (*cycle, cycle[0]))
                raise InterleaveError(
                    f"a deadlock that the server can't see ({letters}): an actor waits over one connection "
                    "while another one of its own holds what the next waits for"
                )
            return sorted(cycle, key=lambda one: one.blocked_since)
        return None

    def told(self) -> str:
        """Returns who waits for whom, in words."""
        parts = []
        for actor in self.actors:
            if actor.state != "blocked" or actor.session is None or actor.session.monitor is None:
                continue
            blockers = {self.owner(pid) for _, pid in actor.session.monitor.blockers([actor.session.pid])}
            for blocker in sorted((one for one in blockers if one), key=lambda one: one.number):
                ended = ", which has ended with its transaction open" if blocker.state == "done" else ""
                parts.append(f"actor {actor.letter} waits for {blocker.letter}{ended}")
        return "; ".join(parts) or "all of them wait"


def _cycle(
    start: Actor,
    waits: Sequence[tuple[int, int]],
    waiting: dict[int, Actor],
    owner: Callable[[int], Actor | None],
) -> list[Actor] | None:
    """Returns the actors of a cycle of waits through `start`, in order; None if there is none."""
    following: dict[Actor, set[Actor]] = {}
    for pid, blocking in waits:
        blocker = owner(blocking)
        if blocker is not None:
            following.setdefault(waiting[pid], set()).add(blocker)
    paths = [[start]]
    while paths:
        path = paths.pop()
        for after in following.get(path[-1], ()):
            if after is start:
                return path
            if after not in path:
                paths.append([*path, after])
    return None
