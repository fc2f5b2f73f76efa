"""The test that runs now, of a process, a thread or a task: connections, rows and locks are put down to it.

A worker runs one test at a time, but threads and tasks outlive the test that started them. So a thread, a
task and a call that is submitted to a pool of threads belong to whoever started them, as long as they last.

Only the standard library is imported here: the plugin asks on each BEGIN and COMMIT.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from functools import update_wrapper
from itertools import count
from threading import get_ident
from typing import Any, Literal, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
OwnerKind = Literal["test", "fixture", "other"]


@dataclass(frozen=True, slots=True, eq=False)
class Owner:
    """Whom work is put down to: one attempt of one test, one set-up of a fixture, or something else.

    Each is its own: a second attempt of a test is another owner. `attempt` counts from 1.
    """

    kind: OwnerKind
    name: str
    worker: str = ""
    attempt: int = 1
    number: int = field(default_factory=count(1).__next__)
    """Unique in this process, ascending."""
    runner: str = ""
    """The runner of a test in another language, whose request is served; empty for this process's own."""
    _life: list[bool] = field(default_factory=lambda: [False, False], repr=False)
    """Whether it has ended, and whether a session has worked for it."""

    @property
    def has_ended(self) -> bool:
        """Whether the test or the set-up is over. Whatever is put down to it from now on is late."""
        return self._life[0]

    def end(self) -> None:
        """Marks the test as over, its fixtures of function scope torn down."""
        self._life[0] = True

    @property
    def has_used_sessions(self) -> bool:
        """Whether any session has worked for it."""
        return self._life[1]

    def use_session(self) -> None:
        """A session works for it."""
        self._life[1] = True


_of_context: ContextVar[Owner] = ContextVar("pgwatch_tests.owner")
_THREAD_ATTRIBUTE = "_pgwatch_tests_owner"
_MAIN_THREAD = threading.main_thread().ident
"""Nobody has started it: it has no such attribute."""
_of_process: list[Owner | None] = [None]


def current() -> Owner | None:
    """Returns whom the calling task, else the calling thread, else the process works for; None for nobody.

    What a fixture has started, such as a server in a thread, works for the test that runs, if one does.
    """
    # The variable is set only in contexts of tasks. A copy of the main thread's, such as asyncio.Runner keeps
    # over many tests, is without it.
    owner = _of_context.get(None)
    if owner is None and get_ident() != _MAIN_THREAD:
        owner = getattr(threading.current_thread(), _THREAD_ATTRIBUTE, None)
    of_process = _of_process[0]
    if owner is None or (owner.kind == "fixture" and of_process is not None and of_process.kind == "test"):
        return of_process
    return owner


def switch_to(owner: Owner | None) -> Owner | None:
    """Makes `owner` the one that the process works for. Returns whoever was so before."""
    before, _of_process[0] = _of_process[0], owner
    return before


@contextmanager
def running(owner: Owner) -> Iterator[Owner]:
    """Makes `owner` the one that the process works for; then whoever was so before. Doesn't end the owner."""
    before = switch_to(owner)
    try:
        yield owner
    finally:
        switch_to(before)


@contextmanager
def acting_for(owner: Owner) -> Iterator[Owner]:
    """Makes `owner` the one that this task or thread works for, such as a request that a test has sent."""
    token = _of_context.set(owner)
    try:
        yield owner
    finally:
        _of_context.reset(token)


def track_threads_and_tasks() -> Callable[[], None]:
    """Has threads, tasks and calls in pools of threads belong to whoever starts them, from now on.

    Returns the function that undoes it; what has begun until then keeps its owner. An event loop that isn't
    asyncio's own (uvloop) starts tasks that it doesn't know: they belong to the process's owner, as before.
    """
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    create_task = asyncio.BaseEventLoop.create_task
    is_on = True

    def start_owned(self: threading.Thread) -> None:
        if is_on and (owner := current()) is not None:
            setattr(self, _THREAD_ATTRIBUTE, owner)
        start(self)

    def submit_owned(
        self: ThreadPoolExecutor, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        return submit(self, _for_owner(current(), fn) if is_on else fn, *args, **kwargs)

    def create_owned(
        self: asyncio.BaseEventLoop,
        coro: Coroutine[object, object, T],
        *,
        context: Context | None = None,
        **more: Any,
    ) -> asyncio.Task[T]:
        owner = current() if is_on else None
        if owner is not None:
            context = copy_context() if context is None else context
            context.run(_of_context.set, owner)
        return create_task(self, coro, context=context, **more)

    def undo() -> None:
        nonlocal is_on
        is_on = False
        # Somebody else may have put a function of their own over these meanwhile: that stays.
        for of, name, ours, before in patches:
            if getattr(of, name) is ours:
                setattr(of, name, before)

    patches: tuple[tuple[type, str, Callable[..., object], Callable[..., object]], ...] = (
        (threading.Thread, "start", start_owned, start),
        (ThreadPoolExecutor, "submit", submit_owned, submit),
        (asyncio.BaseEventLoop, "create_task", create_owned, create_task),
    )
    for of, name, ours, before in patches:
        setattr(of, name, update_wrapper(ours, before))
    return undo


def _for_owner(owner: Owner | None, fn: Callable[P, T]) -> Callable[P, T]:
    """Returns `fn` as the thread of a pool shall call it: for the owner, whoever had the thread before."""

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        # Not by a copy of the context: the call would see variables that it doesn't see otherwise.
        thread = threading.current_thread()
        before = getattr(thread, _THREAD_ATTRIBUTE, None)
        setattr(thread, _THREAD_ATTRIBUTE, owner)
        try:
            return fn(*args, **kwargs)
        finally:
            setattr(thread, _THREAD_ATTRIBUTE, before)

    return call
