"""`interleave_requests` and `replay_requests`: `interleave` for any driver, language or process."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from pgwatch_tests.testing.interleaving.exploration import Exploration
from pgwatch_tests.testing.interleaving.explorer import Explorer, Isolation, Limits
from pgwatch_tests.testing.interleaving.interleave import (
    REPLAY_VARIABLE,
    asked_for_replay,
    check_faults,
    explore,
    make_explorer,
    run_gated,
    run_gated_async,
)
from pgwatch_tests.testing.interleaving.proxy.proxy import InterleaveProxy
from pgwatch_tests.testing.interleaving.schedules.schedule import Schedule
from pgwatch_tests.testing.races.outcomes import Outcome

Function = Callable[..., object]
Invariant = Callable[[Any, Sequence[Outcome[object]]], object]


def interleave_requests(
    server: str | InterleaveProxy,
    *functions: Function,
    setup: Callable[[], Any] | None = None,
    invariant: Invariant | None = None,
    max_preemptions: int | None = 2,
    max_schedules: int = 2000,
    max_seconds: float = 10.0,
    isolation: Isolation | None = None,
    faults: bool = False,
    step_timeout_s: float = 5.0,
    reduction: bool = True,
    seed: int = 0,
) -> Exploration:
    """Does what `interleave` does, for whatever speaks PostgreSQL's protocol: a proxy holds its statements.

    `server` is where the database is, as a connection string: a proxy is put in front of it, and each
    function is called with what `setup()` has returned *and* a connection string for the proxy, its own, to
    connect by (`await asyncpg.connect(dsn)`, `create_async_engine(dsn.replace("postgresql", …))`).

    Or `server` is an `InterleaveProxy` that is open already, which pools and application servers have been
    given: then the functions are called with what `setup()` has returned alone, as by `interleave`, and do
    their requests.

    A step is what a client sends up to its Sync or simple Query: one statement, a COMMIT, or a pipeline as
    a whole. `setup` and `invariant` may use the proxy too: between schedules nobody is held. A server may go
    on after it has answered (and COMMIT then), if it isn't idle in the transaction for 0.2 s.

    Returns what was found. Raises what `interleave` raises, CannotConnectError, and ConfigurationError for a
    server that is reached by TLS and isn't on this machine.
    """
    with _opened(server, functions) as (proxy, bound):
        if (asked_for := os.environ.get(REPLAY_VARIABLE)) is not None:
            with asked_for_replay():
                return replay_requests(
                    asked_for, proxy, *bound, setup=setup, invariant=invariant, isolation=isolation
                )
        limits = Limits(max_preemptions, max_schedules, max_seconds, reduction, seed, faults)
        check_faults(faults, invariant)
        explorer = make_explorer(bound, setup, invariant, isolation, step_timeout_s, proxy)
        return _with_notes(run_gated(explorer, lambda: explore(explorer, limits, isolation)), proxy)


async def interleave_requests_async(
    server: str | InterleaveProxy,
    *functions: Function,
    setup: Callable[[], Any] | None = None,
    invariant: Invariant | None = None,
    max_preemptions: int | None = 2,
    max_schedules: int = 2000,
    max_seconds: float = 10.0,
    isolation: Isolation | None = None,
    faults: bool = False,
    step_timeout_s: float = 5.0,
    reduction: bool = True,
    seed: int = 0,
) -> Exploration:
    """Does what `interleave_requests` does, with coroutine functions as tasks of the running loop.

    `setup` and `invariant` may be coroutine functions, too.
    """
    async with _opened_async(server, functions) as (proxy, bound):
        if (asked_for := os.environ.get(REPLAY_VARIABLE)) is not None:
            with asked_for_replay():
                return await replay_requests_async(
                    asked_for, proxy, *bound, setup=setup, invariant=invariant, isolation=isolation
                )
        limits = Limits(max_preemptions, max_schedules, max_seconds, reduction, seed, faults)
        check_faults(faults, invariant)
        explorer = make_explorer(bound, setup, invariant, isolation, step_timeout_s, proxy)
        found = await run_gated_async(explorer, lambda: explore(explorer, limits, isolation))
        return _with_notes(found, proxy)


def replay_requests(
    schedule: str | Schedule,
    server: str | InterleaveProxy,
    *functions: Function,
    setup: Callable[[], Any] | None = None,
    invariant: Invariant | None = None,
    isolation: Isolation | None = None,
    step_timeout_s: float = 3600.0,
) -> Exploration:
    """Runs one schedule of `interleave_requests`, as `replay` does one of `interleave`."""
    with _opened(server, functions) as (proxy, bound):
        explorer = make_explorer(bound, setup, invariant, isolation, step_timeout_s, proxy)
        return _with_notes(run_gated(explorer, lambda: explorer.replay(schedule)), proxy)


async def replay_requests_async(
    schedule: str | Schedule,
    server: str | InterleaveProxy,
    *functions: Function,
    setup: Callable[[], Any] | None = None,
    invariant: Invariant | None = None,
    isolation: Isolation | None = None,
    step_timeout_s: float = 3600.0,
) -> Exploration:
    """Does what `replay_requests` does, for `interleave_requests_async`."""
    async with _opened_async(server, functions) as (proxy, bound):
        explorer: Explorer = make_explorer(bound, setup, invariant, isolation, step_timeout_s, proxy)
        return _with_notes(await run_gated_async(explorer, lambda: explorer.replay(schedule)), proxy)


@contextmanager
def _opened(
    server: str | InterleaveProxy, functions: Sequence[Function]
) -> Iterator[tuple[InterleaveProxy, Sequence[Function]]]:
    if isinstance(server, InterleaveProxy):
        yield server, functions
    else:
        with InterleaveProxy(server) as proxy:
            yield proxy, [_with_dsn(one, dsn) for one, dsn in zip(functions, proxy.dsns, strict=False)]


@asynccontextmanager
async def _opened_async(
    server: str | InterleaveProxy, functions: Sequence[Function]
) -> AsyncIterator[tuple[InterleaveProxy, Sequence[Function]]]:
    if isinstance(server, InterleaveProxy):
        yield server, functions
    else:
        async with InterleaveProxy(server) as proxy:
            yield proxy, [_with_dsn(one, dsn) for one, dsn in zip(functions, proxy.dsns, strict=False)]


def _with_dsn(function: Callable[..., Any], dsn: str) -> Function:
    """Returns a function that is also given the connection string of its actor, last."""
    if inspect.iscoroutinefunction(function):

        async def call_async(*world: object) -> object:
            result: object = await function(*world, dsn)
            return result

        return call_async

    def call(*world: object) -> object:
        result: object = function(*world, dsn)
        return result

    return call


def _with_notes(found: Exploration, proxy: InterleaveProxy) -> Exploration:
    notes, proxy.notes = proxy.notes, {}
    return replace(found, notes=tuple(dict.fromkeys((*found.notes, *notes))))
