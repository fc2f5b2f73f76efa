"""An exploration while it goes on: which schedule to run next, and what is wrong with one."""

from __future__ import annotations

import asyncio
import inspect
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any, Literal

from pgwatch_tests.testing.interleaving.actor import Actor, TaskActor, ThreadActor, run_in_loop
from pgwatch_tests.testing.interleaving.controller import (
    Choose,
    Controller,
    DivergedError,
    Run,
)
from pgwatch_tests.testing.interleaving.effects import Effect, effect
from pgwatch_tests.testing.interleaving.exploration import Exploration
from pgwatch_tests.testing.interleaving.faults import Fault, faults_of
from pgwatch_tests.testing.interleaving.prevention import advice
from pgwatch_tests.testing.interleaving.schedules.random_schedules import RandomSchedule, odds
from pgwatch_tests.testing.interleaving.schedules.schedule import Schedule, digest, outcome_text, parse
from pgwatch_tests.testing.interleaving.schedules.search import Search, preemptions
from pgwatch_tests.testing.interleaving.schedules.step import LETTERS, normalised
from pgwatch_tests.testing.interleaving.schedules.touch import Touch, conflict
from pgwatch_tests.testing.interleaving.touched import UseOfLocks
from pgwatch_tests.testing.interleaving.waits import InterleaveError
from pgwatch_tests.testing.races.outcomes import Outcome, sqlstate
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

Isolation = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

_MOST_DIVERGENCES = 10
_NOT_REDUCED = (
    "functions of the database use advisory locks, notifications, setval(), dblink or EXCEPTION blocks, "
    "which the lock table doesn't tell: no schedule was left out for another one"
)
_SILENT = (
    "actor {} made no step in any schedule, so nothing was tried with it. Either its statements pass no gate "
    "({}), or it ended before its first one: {}."
)


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop, and what to leave out."""

    max_preemptions: int | None
    max_schedules: int
    max_seconds: float
    reduction: bool
    seed: int
    faults: bool = False


@dataclass
class Explorer:
    """An exploration while it goes on."""

    functions: Sequence[Callable[[Any], Any]]
    setup: Callable[[], Any] | None
    invariant: Callable[[Any, Sequence[Outcome[object]]], Any] | None
    controller: Controller
    loop: asyncio.AbstractEventLoop | None = None
    accepts_serialization_failures: bool = False
    """Whether a call that fails by one is as good as one in a serial order: its retry isn't looked at."""
    runs: int = 0
    bad: list[Schedule] = field(default_factory=list)
    deadlocks: list[Schedule] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    serial: dict[Effect, str] = field(default_factory=dict)
    unjudged: list[Effect] = field(default_factory=list)
    longest: int = 0
    silent: dict[int, str] = field(default_factory=dict)
    """Actors that have made no step in any run, and what they came to."""

    def explore(self, limits: Limits) -> Exploration:
        """Explores until nothing is left, or a limit is reached."""
        began = time.monotonic()
        search = Search(limits.max_preemptions, conflicts=conflict if limits.reduction else _always)
        self.controller.use_of_locks = UseOfLocks(limits.reduction, self.invariant is None)
        trouble = why = ""
        is_complete = False
        try:
            if self.invariant is None:
                self._run_serially(search)
            why = self._search(search, limits, began)
            if limits.faults:
                why = why or self._run_with_faults(limits, began)
            is_complete = not why and not search.divergences
            if why and not limits.faults:
                why += self._go_on_randomly(search, limits, began)
        except DivergedError as error:
            trouble = str(error)
        except InterleaveError as error:
            trouble = str(error)
            why = "a run couldn't go on"
        else:
            trouble = " ".join(
                _SILENT.format(LETTERS[one], self.controller.gates.where, plain(end, 80))
                for one, end in self.silent.items()
            )
            is_complete = is_complete and not trouble
        if limits.reduction and any(one.has_hidden_effects for one in self.controller.monitors.values()):
            self.notes[_NOT_REDUCED] = None
        if is_complete:
            orders = "all orders that matter" if limits.reduction else "all orders"
            if limits.faults:
                orders += ", and each fault in all serial orders"
            bound = (
                f", of at most {plural(limits.max_preemptions or 0, 'preemption')}" if search.is_cut else ""
            )
            why = orders + bound
        elif search.divergences and not trouble:
            why = (
                f"the actors aren't deterministic ({search.divergences[0]!r} was another statement, or "
                "didn't come, after the same steps): random values, the time, or leftovers of other schedules"
            )
        return self._told(is_complete, why, search.left, trouble, time.monotonic() - began)

    def replay(self, schedule: str | Schedule) -> Exploration:
        """Runs one schedule. Raises DivergedError if it can't be followed."""
        began = time.monotonic()
        expected = schedule.steps if isinstance(schedule, Schedule) else None
        letters, fault, told = parse(schedule.id if isinstance(schedule, Schedule) else schedule)

        def choose(number: int, ready: Sequence[int], last: int | None) -> int:
            actor = letters[number] if number < len(letters) else None
            trips = {one: self.actors[one].trip for one in ready}
            standing = {
                one: normalised(trip.text, self.controller.names) for one, trip in trips.items() if trip
            }
            found = ", ".join(f"{LETTERS[one]} before {text!r}" for one, text in standing.items())
            if actor is None or actor not in ready:
                wanted = "the end" if actor is None else f"a step of {LETTERS[actor]}"
                raise DivergedError(f"diverged at step {number + 1}: expected {wanted}, got {found}")
            text = standing.get(actor)
            if expected is not None and text is not None and expected[number].pattern != text:
                raise DivergedError(
                    f"diverged at step {number + 1}: expected {expected[number].pattern!r}, got {text!r}"
                )
            return actor

        self.controller.use_of_locks = UseOfLocks(tells_conflicts=False, finds_rows=self.invariant is None)
        run = self._run(choose, fault=fault)
        if len(run.steps) < len(letters):
            raise DivergedError(
                f"diverged at step {len(run.steps) + 1}: expected a step of "
                f"{LETTERS[letters[len(run.steps)]]}, got the end of all actors"
            )
        if digest(run.steps) != told:
            raise DivergedError(
                f"diverged: the actors came in the order of {''.join(LETTERS[one] for one in letters)}, but "
                f"with other statements: expected the hash {told}, got {digest(run.steps)}"
            )
        if self.invariant is None:
            # After it, so that a debugger stops in it first.
            self._judge_by_serial_orders()
        return self._told(True, "the one that was asked for", 0, "", time.monotonic() - began)

    def _judge_by_serial_orders(self) -> None:
        """Judges the only run that there was by all serial orders, which are run now."""
        (schedule,), (found,) = self.bad, self.unjudged
        self._run_serially(Search(0))
        self.runs = 1
        reason = self._unlike_serial(found)
        self.bad = [replace(schedule, reason=reason)] if reason else []
        if self.deadlocks:
            self.deadlocks = [replace(self.deadlocks[0], reason=reason)]

    def _told(self, is_complete: bool, why: str, left: int, trouble: str, seconds: float) -> Exploration:
        self.bad.sort(key=lambda one: (one.preemptions, len(one.steps), one.number))
        bad, deadlocks, notes = tuple(self.bad), tuple(self.deadlocks), tuple(self.notes)
        prevention = tuple(advice(bad[0].steps)) if bad else ()
        return Exploration(
            self.runs, is_complete, why, left, bad, deadlocks, trouble, prevention, notes, seconds
        )

    def _search(self, search: Search, limits: Limits, began: float) -> str:
        """Runs what the search asks for. Returns why it has stopped before the end; empty if it hasn't."""
        while (prefix := search.next()) is not None:
            if self.controller.is_cancelled:
                return "cancelled"
            if self.runs >= limits.max_schedules:
                return f"stopped after max_schedules={limits.max_schedules}"
            if self._is_out_of_time(search, limits, time.monotonic() - began):
                return f"stopped, since max_seconds={limits.max_seconds:g} isn't enough"
            try:
                run = self._run(_following(prefix))
            except DivergedError:
                search.give_up(prefix)
                if len(search.divergences) > _MOST_DIVERGENCES:
                    break
                continue
            search.add(run.initial, run.events)
            if search.next() == prefix:
                # It didn't come to where it was to come.
                search.give_up(prefix)
        return ""

    def _is_out_of_time(self, search: Search, limits: Limits, elapsed_s: float) -> bool:
        """Whether time is up, or half of it is and what is known to be left takes more than the rest."""
        rest_s = limits.max_seconds - elapsed_s
        if rest_s > elapsed_s:
            return False
        return rest_s <= 0 or search.left * elapsed_s / max(1, self.runs) > rest_s

    def _go_on_randomly(self, search: Search, limits: Limits, began: float) -> str:
        """Runs random schedules until the time is up. Returns how many, and with which odds."""
        source = random.Random(limits.seed)
        depth = 1 + (2 if limits.max_preemptions is None else max(1, limits.max_preemptions))
        before = self.runs
        while (
            not self.controller.is_cancelled
            and self.runs < limits.max_schedules
            and time.monotonic() - began < limits.max_seconds
            and search.next() is not None
        ):
            schedule = RandomSchedule(len(self.functions), self.longest, depth, source)
            run = self._run(schedule.choose)
            search.add(run.initial, run.events)
        if self.runs == before:
            return ""
        chance = odds(len(self.functions), self.longest, depth)
        return (
            f", then {plural(self.runs - before, 'random schedule')}: each meets a fault that takes "
            f"{plural(depth - 1, 'preemption')} with odds of at least 1 in {round(1 / chance)}"
        )

    def _run_with_faults(self, limits: Limits, began: float) -> str:
        """Runs all serial orders with each fault that can happen. Returns why it has stopped, or nothing."""
        for order in permutations(range(len(self.functions))):
            for fault in faults_of(self._run(_serial(order)).steps):
                if self.controller.is_cancelled or time.monotonic() - began > limits.max_seconds:
                    return f"stopped after max_seconds={limits.max_seconds:g}, not all faults were tried"
                self._run(_serial(order), fault=fault)
        return ""

    def _run_serially(self, search: Search) -> None:
        """Runs all serial orders: what they come to is right."""
        for order in permutations(range(len(self.functions))):
            run = self._run(_serial(order), serial=True)
            search.add(run.initial, run.events)

    def _run(self, choose: Choose, *, serial: bool = False, fault: Fault | None = None) -> Run:
        world = self._call(self.setup) if self.setup is not None else None
        functions = [
            _closing_django(one if self.setup is not None else _without_world(one)) for one in self.functions
        ]
        self.actors = [self._actor(number, function) for number, function in enumerate(self.functions)]
        run = self.controller.run(self.actors, functions, world, choose, fault)
        self.runs += 1
        self.longest = max(self.longest, len(run.steps))
        seen = {step.actor for step in run.steps}
        before = self.silent if self.runs > 1 else range(len(self.functions))
        self.silent = {one: run.outcomes[one].signature for one in before if one not in seen}
        for number in run.left_open:
            self.notes[f"actor {LETTERS[number]} ended with a transaction open: it was rolled back"] = None
        schedule = Schedule(
            run.steps, run.outcomes, self.runs, preemptions(run.chosen, run.ready),
            self._judged(world, run, serial=serial), run.deadlocks,
        )  # fmt: skip
        if schedule.reason:
            self.bad.append(schedule)
        if run.deadlocks:
            self.deadlocks.append(schedule)
        return run

    def _judged(self, world: object, run: Run, *, serial: bool) -> str:
        """Returns what is wrong with a run; empty if nothing is."""
        if self.invariant is not None:
            try:
                holds = self._call(self.invariant, world, run.outcomes)
            except AssertionError as error:
                return f"the invariant doesn't hold: {error}" if str(error) else "the invariant doesn't hold"
            return "" if holds or holds is None else "the invariant doesn't hold"
        found = effect(self.controller.monitors.values(), run, self.actors, world)
        if run.has_autocommitted:
            self.notes["rows of autocommitted statements weren't compared with those of serial orders"] = None
        if serial:
            self.serial.setdefault(found, outcome_text(run.outcomes))
            return ""
        if not self.serial:
            self.unjudged.append(found)
        if self.accepts_serialization_failures and "40001" in map(sqlstate, _errors(run)):
            return ""
        return self._unlike_serial(found)

    def _unlike_serial(self, found: Effect) -> str:
        """Returns how an effect differs from those of all serial orders; empty if it doesn't."""
        if found.is_known(self.serial):
            return ""
        alike = [one for one in self.serial if found.has_results_of(one)]
        if any(found.rows == one.rows for one in alike):
            deleted = ", ".join(found.deleted or ()) or "none"
            return f"in no serial order so many rows are deleted: {deleted}"
        if alike:
            rows = "; ".join(found.rows) or "none"
            return f"the rows that were written are those of no serial order: {rows}"
        return f"in no serial order ({' | '.join(dict.fromkeys(self.serial.values()))})"

    def _actor(self, number: int, function: Callable[[Any], Any]) -> Actor:
        if self.loop is not None and inspect.iscoroutinefunction(function):
            return TaskActor(number, self.controller, self.loop)
        return ThreadActor(number, self.controller)

    def _call(self, function: Callable[..., Any], *args: object) -> Any:
        if self.loop is None or not inspect.iscoroutinefunction(function):
            return function(*args)
        return run_in_loop(self.loop, function(*args), 60)


def _errors(run: Run) -> list[BaseException]:
    return [one.error for one in run.outcomes if one.error is not None]


def _following(prefix: Sequence[int]) -> Choose:
    """Chooses by `prefix`, then goes on without a preemption."""

    def choose(number: int, ready: Sequence[int], last: int | None) -> int:
        if number < len(prefix):
            if prefix[number] not in ready:
                raise DivergedError(f"actor {LETTERS[prefix[number]]} doesn't come to step {number + 1}")
            return prefix[number]
        return last if last is not None and last in ready else ready[0]

    return choose


def _serial(order: Sequence[int]) -> Choose:
    """Chooses the first of `order` that can go on."""

    def choose(number: int, ready: Sequence[int], last: int | None) -> int:
        return next(one for one in order if one in ready)

    return choose


def _always(one: Touch, other: Touch) -> bool:
    return True


def _without_world(function: Callable[..., Any]) -> Callable[[Any], Any]:
    if inspect.iscoroutinefunction(function):

        async def call_async(_: object) -> Any:
            awaited: Awaitable[Any] = function()
            return await awaited

        return call_async
    return lambda _: function()


def _closing_django(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Has a thread close the connections that Django has opened for it: nobody can use them any more."""
    if inspect.iscoroutinefunction(function) or "django.db" not in sys.modules:
        return function
    connections: Any = sys.modules["django.db"].connections
    settings: Any = sys.modules["django.conf"].settings

    def call(world: Any) -> Any:
        try:
            return function(world)
        finally:
            # Where a plugin has imported Django for nothing, asking for connections fails.
            for one in connections.all(initialized_only=True) if settings.configured else ():
                # One in a transaction is rolled back first, and told.
                if not one.in_atomic_block:
                    one.close()

    return call
