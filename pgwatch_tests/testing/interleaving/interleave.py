"""`interleave` and `replay`: functions run in all orders of their statements that matter, or in one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from psycopg import IsolationLevel

from pgwatch_tests.testing.interleaving.controller import Controller, DivergedError
from pgwatch_tests.testing.interleaving.exploration import Exploration
from pgwatch_tests.testing.interleaving.explorer import Explorer, Isolation, Limits
from pgwatch_tests.testing.interleaving.gates.psycopg2_gates import Psycopg2Gates
from pgwatch_tests.testing.interleaving.gates.psycopg_gates import PsycopgGates
from pgwatch_tests.testing.interleaving.gates.round_trip import Gates, SeveralGates
from pgwatch_tests.testing.interleaving.schedules.schedule import Schedule
from pgwatch_tests.testing.interleaving.schedules.step import LETTERS
from pgwatch_tests.testing.races.outcomes import Outcome, check_not_async
from pgwatch_tests.text.numbers import plural

REPLAY_VARIABLE = "PGWATCH_REPLAY"
"""The environment variable with the id of the schedule that `interleave` runs instead of exploring."""

_ELSEWHERE = (
    "an id belongs to one call of interleave: select the test that it was told for, alone; "
    "in a test with several calls, use replay() in the place of that one"
)


@dataclass(slots=True)
class AskedReplays:
    """How many calls of `interleave` ran one schedule, because PGWATCH_REPLAY asked for it."""

    calls: int = 0
    diverged: int = 0


asked_replays = AskedReplays()
"""Those of this process."""


def interleave(
    *functions: Callable[..., object],
    setup: Callable[[], Any] | None = None,
    invariant: Callable[[Any, Sequence[Outcome[object]]], object] | None = None,
    max_preemptions: int | None = 2,
    max_schedules: int = 2000,
    max_seconds: float = 10.0,
    isolation: Isolation | None = None,
    faults: bool = False,
    step_timeout_s: float = 5.0,
    reduction: bool = True,
    seed: int = 0,
) -> Exploration:
    """Runs two to four functions against the database in all orders of their statements that matter.

    Each is called with what `setup()` has returned (fresh, unique data; nothing is reset), or without
    arguments. `invariant(world, outcomes)` says after each schedule whether all is well: it returns False or
    raises AssertionError if not. Without it, what the functions return, raise and write must be what they do
    in some serial order. A preemption is a switch from an actor that could have gone on; None: without a
    bound. `isolation` overrides the level of the functions' transactions. `reduction=False` also runs
    schedules that differ only in steps which can't conflict: needed where the functions share more than the
    database.

    Returns what was found. Raises ValueError for another number of functions, and what `setup` raises. With
    the id of a schedule in the environment variable PGWATCH_REPLAY, that schedule is run, as by `replay`.
    """
    if (asked_for := os.environ.get(REPLAY_VARIABLE)) is not None:
        with asked_for_replay():
            return replay(asked_for, *functions, setup=setup, invariant=invariant, isolation=isolation)
    limits = Limits(max_preemptions, max_schedules, max_seconds, reduction, seed, faults)
    check_faults(faults, invariant)
    check_no_coroutines(functions, "interleave")
    explorer = make_explorer(functions, setup, invariant, isolation, step_timeout_s)
    return run_gated(explorer, lambda: explore(explorer, limits, isolation))


async def interleave_async(
    *functions: Callable[..., object],
    setup: Callable[[], Any] | None = None,
    invariant: Callable[[Any, Sequence[Outcome[object]]], object] | None = None,
    max_preemptions: int | None = 2,
    max_schedules: int = 2000,
    max_seconds: float = 10.0,
    isolation: Isolation | None = None,
    faults: bool = False,
    step_timeout_s: float = 5.0,
    reduction: bool = True,
    seed: int = 0,
) -> Exploration:
    """Does what `interleave` does, with coroutine functions as tasks of the running loop; others are threads.

    `setup` and `invariant` may be coroutine functions, too.
    """
    if (asked_for := os.environ.get(REPLAY_VARIABLE)) is not None:
        with asked_for_replay():
            return await replay_async(
                asked_for, *functions, setup=setup, invariant=invariant, isolation=isolation
            )
    limits = Limits(max_preemptions, max_schedules, max_seconds, reduction, seed, faults)
    check_faults(faults, invariant)
    explorer = make_explorer(functions, setup, invariant, isolation, step_timeout_s)
    return await run_gated_async(explorer, lambda: explore(explorer, limits, isolation))


def replay(
    schedule: str | Schedule,
    *functions: Callable[..., object],
    setup: Callable[[], Any] | None = None,
    invariant: Callable[[Any, Sequence[Outcome[object]]], object] | None = None,
    isolation: Isolation | None = None,
    step_timeout_s: float = 3600.0,
) -> Exploration:
    """Runs one schedule of `interleave`, by its id or as it was returned; with patience for a debugger.

    Raises DivergedError, which says at which step, if the functions no longer make these steps, and
    ValueError.
    """
    check_no_coroutines(functions, "replay")
    explorer = make_explorer(functions, setup, invariant, isolation, step_timeout_s)
    return run_gated(explorer, lambda: explorer.replay(schedule))


async def replay_async(
    schedule: str | Schedule,
    *functions: Callable[..., object],
    setup: Callable[[], Any] | None = None,
    invariant: Callable[[Any, Sequence[Outcome[object]]], object] | None = None,
    isolation: Isolation | None = None,
    step_timeout_s: float = 3600.0,
) -> Exploration:
    """Does what `replay` does, for `interleave_async`."""
    explorer = make_explorer(functions, setup, invariant, isolation, step_timeout_s)
    return await run_gated_async(explorer, lambda: explorer.replay(schedule))


@contextmanager
def asked_for_replay() -> Iterator[None]:
    """Counts a replay that the environment asks for; says of one that diverges where the id belongs."""
    asked_replays.calls += 1
    try:
        yield
    except DivergedError as error:
        asked_replays.diverged += 1
        error.args = (f"{error}. {_ELSEWHERE}",)
        raise


def make_explorer(
    functions: Sequence[Callable[..., object]],
    setup: Callable[[], Any] | None,
    invariant: Callable[[Any, Sequence[Outcome[object]]], object] | None,
    isolation: Isolation | None,
    step_timeout_s: float,
    gates: Gates | None = None,
) -> Explorer:
    """Returns an explorer of these functions. `gates`: where their statements stop; else in psycopg 3 and 2.

    Raises ValueError for another number of functions.
    """
    if not 2 <= len(functions) <= len(LETTERS):
        raise ValueError(f"interleave takes 2 to {len(LETTERS)} functions, not {len(functions)}")
    level = None if isolation is None else IsolationLevel[isolation.upper().replace(" ", "_")]
    gates = gates or SeveralGates(PsycopgGates(), Psycopg2Gates())
    controller = Controller(gates, step_timeout_s=step_timeout_s, isolation=level)
    return Explorer(functions, setup, invariant, controller)


def check_no_coroutines(functions: Sequence[Callable[..., object]], caller: str) -> None:
    """Raises TypeError for coroutine functions where there is no loop to run them in."""
    for function in functions:
        check_not_async(function, caller)


def check_faults(faults: bool, invariant: object) -> None:
    """Raises ValueError for faults without an invariant."""
    if faults and invariant is None:
        raise ValueError("faults need an invariant: no serial order has them")


def explore(explorer: Explorer, limits: Limits, isolation: Isolation | None) -> Exploration:
    """Explores; adds to a bug whether the same functions are right under SERIALIZABLE, if that is sure."""
    found = explorer.explore(limits)
    if not found.bad or found.trouble or explorer.controller.is_cancelled or isolation is not None:
        return found
    explorer.controller.isolation = IsolationLevel.SERIALIZABLE
    trial = Explorer(
        explorer.functions, explorer.setup, explorer.invariant, explorer.controller, explorer.loop
    )
    trial.accepts_serialization_failures = True
    tried = trial.explore(limits)
    if tried.bad or tried.trouble or not tried.complete:
        return found
    told = (
        f"SERIALIZABLE (tried: {plural(tried.explored, 'schedule')}, none bad; calls that fail need a retry)"
    )
    return replace(found, prevention=(*found.prevention, told))


def run_gated(explorer: Explorer, work: Callable[[], Exploration]) -> Exploration:
    """Does the work with the gates in place."""
    explorer.controller.gates.install()
    try:
        return work()
    finally:
        explorer.controller.gates.remove()
        explorer.controller.close()


async def run_gated_async(explorer: Explorer, work: Callable[[], Exploration]) -> Exploration:
    """Does what `run_gated` does in a thread, for functions that are tasks of the running loop."""
    explorer.loop = asyncio.get_running_loop()
    working = asyncio.ensure_future(asyncio.to_thread(run_gated, explorer, work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        explorer.controller.is_cancelled = True
        explorer.controller.fail("cancelled")
        await asyncio.wait([working])
        raise
