"""A model of a database with row locks under READ COMMITTED, and small programs that a search runs.

A statement locks by table, as the lock table shows it, and works on a row. A program may look before it
writes, so that what it does depends on what it has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pgwatch_tests.testing.interleaving.schedules.search import Event, Status
from pgwatch_tests.testing.interleaving.schedules.touch import Modes, Resource, Touch, modes, union

Row = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Statement:
    """A step of a program."""

    kind: Literal["read", "add", "lock", "add_if_zero", "commit"]
    row: Row = ("", 0)


Program = tuple[Statement, ...]
COMMIT = Statement("commit")
_MODES = {
    "read": modes("AccessShareLock"),
    "lock": modes("RowShareLock"),
    "add": modes("RowExclusiveLock"),
    "add_if_zero": modes("RowExclusiveLock"),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run of all programs, by one schedule."""

    chosen: tuple[int, ...]
    ready: tuple[tuple[int, ...], ...]
    initial: tuple[Status, ...]
    events: tuple[Event, ...]
    outcome: tuple[object, ...]


@dataclass(slots=True)
class _Actor:
    program: Program
    at: int = 0
    status: Status = "ready"
    seen: list[object] = field(default_factory=list)
    held: dict[Resource, Modes] = field(default_factory=dict)
    written: dict[Row, int] = field(default_factory=dict)


class _Model:
    def __init__(self, programs: Sequence[Program]) -> None:
        self.committed: dict[Row, int] = {}
        self.holders: dict[Row, int] = {}
        self.queue: list[tuple[int, Row]] = []
        self.actors = [_Actor(program) for program in programs]
        for number in range(len(self.actors)):
            self._skip(number, [])

    def ready(self) -> tuple[int, ...]:
        return tuple(number for number, actor in enumerate(self.actors) if actor.status == "ready")

    def step(self, number: int) -> Event:
        actor = self.actors[number]
        statement = actor.program[actor.at]
        touches: list[Touch] = []
        moved = {number}
        if statement.kind == "commit":
            touches.append(Touch(frees=dict(actor.held)))
            self._end(number, commits=True)
            actor.at += 1
            self._skip(number, touches)
        else:
            touches.append(self._take(actor, statement))
            if statement.kind != "read" and self.holders.get(statement.row, number) != number:
                actor.status = "blocked"
                self.queue.append((number, statement.row))
                while (victim := self._victim()) is not None:
                    touches.append(Touch(is_unknown=True))
                    moved.add(victim)
                    self._fail(victim)
                    moved |= self._wake(touches)
            else:
                self._do(number, statement, touches)
        moved |= self._wake(touches)
        after = tuple((one, self.actors[one].status) for one in sorted(moved))
        return Event(number, union(touches), after, f"{statement.kind} {statement.row}")

    def _take(self, actor: _Actor, statement: Statement) -> Touch:
        table = ("relation", statement.row[0])
        actor.held[table] = actor.held.get(table, 0) | _MODES[statement.kind]
        return Touch(takes=dict(actor.held))

    def _do(self, number: int, statement: Statement, touches: list[Touch]) -> None:
        actor = self.actors[number]
        value = actor.written.get(statement.row, self.committed.get(statement.row, 0))
        if statement.kind == "read":
            actor.seen.append(value)
        else:
            self.holders[statement.row] = number
            if statement.kind != "lock":
                actor.written[statement.row] = value + 1 + number
                actor.seen.append(("wrote", value))
        actor.status = "ready"
        actor.at += 1
        self._skip(number, touches)

    def _skip(self, number: int, touches: list[Touch]) -> None:
        """Leaves out what the program doesn't do, having seen what it has; rolls back at its end."""
        actor = self.actors[number]
        while actor.at < len(actor.program):
            if actor.program[actor.at].kind != "add_if_zero" or not actor.seen or actor.seen[-1] == 0:
                return
            actor.at += 1
        touches.append(Touch(frees=dict(actor.held)))
        self._end(number, commits=False)
        actor.status = "done"

    def _wake(self, touches: list[Touch]) -> set[int]:
        moved = set()
        while (free := self._first_free()) is not None:
            number, _ = free
            self.queue.remove(free)
            actor = self.actors[number]
            touches.append(Touch(takes=dict(actor.held)))
            self._do(number, actor.program[actor.at], touches)
            moved.add(number)
        return moved

    def _first_free(self) -> tuple[int, Row] | None:
        """Who waits for a row that nobody has any more, and came first."""
        for number, row in self.queue:
            if self.holders.get(row, number) == number and self._is_first(number, row):
                return number, row
        return None

    def _is_first(self, number: int, row: Row) -> bool:
        return next(one for one, waited in self.queue if waited == row) == number

    def _end(self, number: int, *, commits: bool) -> None:
        actor = self.actors[number]
        if commits:
            self.committed.update(actor.written)
        actor.written.clear()
        actor.held.clear()
        self.holders = {row: holder for row, holder in self.holders.items() if holder != number}

    def _fail(self, number: int) -> None:
        self.queue = [(one, row) for one, row in self.queue if one != number]
        self._end(number, commits=False)
        self.actors[number].seen.append("deadlock")
        self.actors[number].status = "done"

    def _victim(self) -> int | None:
        """The one of a cycle that has waited longest."""
        waits = {number: self.holders.get(row) for number, row in self.queue}
        for number, _ in self.queue:
            path, at = [number], waits.get(number)
            while at is not None and at not in path:
                path.append(at)
                at = waits.get(at)
            if at == number:
                return number
        return None


def run(programs: Sequence[Program], choose: Callable[[int, tuple[int, ...], int | None], int]) -> Run:
    """Runs programs to their end. `choose` gets the number of the step, who is ready, and who was last."""
    model = _Model(programs)
    initial = tuple(actor.status for actor in model.actors)
    chosen: list[int] = []
    ready: list[tuple[int, ...]] = []
    events: list[Event] = []
    while could := model.ready():
        number = choose(len(chosen), could, chosen[-1] if chosen else None)
        chosen.append(number)
        ready.append(could)
        events.append(model.step(number))
    assert all(actor.status == "done" for actor in model.actors)
    outcome = (tuple(tuple(actor.seen) for actor in model.actors), frozenset(model.committed.items()))
    return Run(tuple(chosen), tuple(ready), initial, tuple(events), outcome)


def following(prefix: Sequence[int]) -> Callable[[int, tuple[int, ...], int | None], int]:
    """Chooses by `prefix`, then goes on without a preemption."""

    def choose(at: int, ready: tuple[int, ...], last: int | None) -> int:
        if at < len(prefix):
            assert prefix[at] in ready, "a prefix of the search can be run"
            return prefix[at]
        return last if last in ready and last is not None else ready[0]

    return choose


def all_runs(programs: Sequence[Program]) -> Iterator[Run]:
    """Runs every schedule."""
    prefixes: list[tuple[int, ...]] = [()]
    while prefixes:
        prefix = prefixes.pop()
        done = run(programs, following(prefix))
        yield done
        for at in range(len(prefix), len(done.chosen)):
            prefixes += [(*done.chosen[:at], other) for other in done.ready[at] if other != done.chosen[at]]
