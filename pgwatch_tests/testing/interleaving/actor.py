"""Actors: functions under the controller's hand, each in a thread or a task of its own."""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import psycopg
from psycopg import IsolationLevel

from pgwatch_tests.testing.interleaving.faults import FaultKind
from pgwatch_tests.testing.interleaving.gates.psycopg_gates import gated
from pgwatch_tests.testing.interleaving.gates.round_trip import OPEN, GatedConnection, RoundTrip, server_error
from pgwatch_tests.testing.interleaving.monitor import Monitor
from pgwatch_tests.testing.interleaving.schedules.step import LETTERS, sets_isolation, takes_snapshot
from pgwatch_tests.testing.interleaving.schedules.touch import Modes, Resource
from pgwatch_tests.testing.races.outcomes import Outcome

State = Literal["starting", "ready", "running", "blocked", "done"]
_ENDED = "interleave saw the cycle of waits and ended the longest one."
_NOT_OF_ACTORS = ("site-packages", "/lib/python", str(Path(__file__).parent))


class Stop(BaseException):
    """Ends an actor whose run is over."""


class Session:
    """A connection of an actor, and what its transaction has locked so far."""

    def __init__(self, connection: GatedConnection, number: int) -> None:
        self.connection = connection
        self.pid = connection.backend_pid
        self.number = number
        self.held: dict[Resource, Modes] = {}
        self.isolation: IsolationLevel | None = None
        """That of the transaction, once it is known."""
        self.in_transaction = False
        self.is_deferrable = False
        """Whether its COMMIT checks what was put off."""
        self.has_own_level = False
        """Whether a statement may have given its transaction another level than later ones have."""
        self.is_untold = False
        """Whether locks didn't tell all of a step of its transaction, such as DDL. Nor of its COMMIT then."""
        self.deleted: Counter[str] = Counter()
        """How many rows its transaction has deleted, by table."""
        self.monitor: Monitor | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the client has closed it."""
        return self.connection.is_closed

    def end_transaction(self) -> dict[Resource, Modes]:
        """Returns what the transaction had locked."""
        held, self.held = self.held, {}
        self.isolation = None
        self.in_transaction = self.is_deferrable = self.is_untold = False
        return held

    @property
    def is_open(self) -> bool:
        """Whether a transaction is open."""
        return not self.is_closed and self.connection.status in OPEN


class Actor(ABC):
    """One of the functions. It stops at gates; the controller opens them."""

    def __init__(self, number: int, controller: Controlling) -> None:
        self.number = number
        self.letter = LETTERS[number]
        self.state: State = "starting"
        self.trip: RoundTrip | None = None
        """The step that it stands before, or makes."""
        self.session: Session | None = None
        self.sessions: dict[int, Session] = {}
        self.transactions: set[str] = set()
        """Ids of its transactions that wrote."""
        self.has_autocommitted = False
        self.deleted: Counter[str] = Counter()
        """How many rows its committed DELETEs took, by table."""
        self.has_undone_savepoint = False
        """Whether a part of a transaction was rolled back: which rows it had deleted isn't known."""
        self.outcome: Outcome[object] = Outcome()
        self.has_started = False
        self.is_stopped = False
        self.is_victim = False
        """Whether its wait is being ended because of a deadlock."""
        self.blocked_since = 0
        self.result = ""
        self.fault_kind: FaultKind | None = None
        """How the step that it stands before shall fail."""
        self.lingers: Callable[[], bool] | None = None
        """Says, once its function has returned, whether one of its connections goes on: a server that answers
        first and commits then. Whoever says so calls `finish` later."""
        self._controller = controller
        self._open: Callable[[], object] | None = None

    @property
    def name(self) -> str:
        """Its name in messages and of its thread."""
        return f"interleave {self.letter}"

    @property
    def is_under_way(self) -> bool:
        """Whether it neither stands at a gate nor has ended."""
        return self.has_started and self.state in ("starting", "running", "blocked")

    def fail_run(self, message: str) -> None:
        """Ends the exploration with a message."""
        self._controller.fail(message)

    @abstractmethod
    def start(self, fn: Callable[[Any], Any], world: object) -> None:
        """Starts it."""

    @abstractmethod
    def where(self) -> str:
        """Returns the place in the code where it is."""

    @abstractmethod
    def join(self, timeout_s: float) -> bool:
        """Waits for its end, asking it to stop. Returns whether it has ended."""

    def roll_back_left(self, timeout_s: float) -> bool:
        """Rolls back transactions that it has left open. Returns whether there were any."""
        left = [one for one in self.sessions.values() if one.is_open]
        for session in left:
            session.connection.roll_back(timeout_s)
        return bool(left)

    def open_gate(self) -> None:
        """Lets it go on."""
        opener, self._open = self._open, None
        if opener is not None:
            opener()

    def pass_gate(self, trip: RoundTrip) -> None:
        """See GatedActor."""
        if self._arrive(trip):
            gate = threading.Lock()
            gate.acquire()
            self._stand(trip, gate.release)
            gate.acquire()
            self._leave()

    async def pass_gate_async(self, trip: RoundTrip) -> None:
        """See GatedActor."""
        if self._arrive(trip):
            loop = asyncio.get_running_loop()
            gate = loop.create_future()

            def let_go() -> None:
                if not gate.done():
                    gate.set_result(None)

            self._stand(trip, lambda: loop.call_soon_threadsafe(let_go))
            await gate
            self._leave()

    def answered(self, trip: RoundTrip, error: BaseException | None) -> BaseException | None:
        """See GatedActor."""
        if trip.kind is not None:
            self.result = trip.result() if error is None else type(error).__name__
        if self.is_victim and isinstance(error, psycopg.errors.QueryCanceled):
            self.is_victim = False
            error = server_error(psycopg.errors.DeadlockDetected, "deadlock detected", _ENDED)
            self.result = type(error).__name__
        self._controller.note_answer(self, trip, error)
        return error

    def take_fault(self) -> FaultKind | None:
        """See GatedActor."""
        kind, self.fault_kind = self.fault_kind, None
        return kind

    def _arrive(self, trip: RoundTrip) -> bool:
        """Returns whether it has to stop here. Raises Stop once the run is over."""
        if self.is_stopped:
            if trip.rolls_back or trip.is_empty:
                return False
            raise Stop
        pid = trip.connection.backend_pid
        session = self.sessions.get(pid)
        if session is None or session.connection is not trip.connection:
            session = self.sessions[pid] = Session(trip.connection, len(self.sessions))
        session.has_own_level |= trip.kind is None and sets_isolation(trip.text)
        self._controller.note_trip(self, trip, session)
        if (
            trip.kind is None
            and session.isolation is None
            and takes_snapshot(trip.text)
            and trip.connection.keeps_snapshot
        ):
            # What the statements after it see is decided by it.
            trip.kind = "statement"
            self._controller.note_trip(self, trip, session)
        return trip.kind is not None and not trip.is_rest

    def _stand(self, trip: RoundTrip, opener: Callable[[], object]) -> None:
        with self._controller.changed:
            if self._open is not None:
                self._controller.fail(
                    f"actor {self.letter} runs two statements at once, in two threads or tasks of its own: "
                    "an actor makes one step after the other"
                )
                raise Stop
            self._open = opener
            self.trip = trip
            self.state = "ready"
            self._controller.changed.notify_all()

    def _leave(self) -> None:
        if self.is_stopped:
            raise Stop

    def _end(self, outcome: Outcome[object]) -> None:
        with self._controller.changed:
            self.outcome = outcome
            if self.is_stopped or self.lingers is None or not self.lingers():
                self.finish()

    def finish(self) -> None:
        """Takes note that its function has returned, and that nothing of it is to come."""
        with self._controller.changed:
            self.state = "done"
            self._controller.changed.notify_all()


class Controlling(ABC):
    """What an actor needs of its controller."""

    changed: threading.Condition

    @abstractmethod
    def fail(self, message: str) -> None:
        """Ends the exploration with a message."""

    @abstractmethod
    def note_trip(self, actor: Actor, trip: RoundTrip, session: Session) -> None:
        """Takes note of what an actor is about to send."""

    @abstractmethod
    def note_answer(self, actor: Actor, trip: RoundTrip, error: BaseException | None) -> None:
        """Takes note of the answer."""


class ThreadActor(Actor):
    """An actor in a thread."""

    _thread: threading.Thread

    def start(self, fn: Callable[[Any], Any], world: object) -> None:
        """See Actor."""

        def run() -> None:
            gated.set(self)
            try:
                outcome: Outcome[object] = Outcome(fn(world))
            except BaseException as error:  # noqa: BLE001
                outcome = Outcome(error=error)
            self._end(outcome)

        self.has_started = True
        self._thread = threading.Thread(target=run, name=self.name, daemon=True)
        self._thread.start()

    def where(self) -> str:
        """See Actor."""
        return _place(sys._current_frames().get(self._thread.ident or 0))

    def join(self, timeout_s: float) -> bool:
        """See Actor."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            # Code that never asks the database ends at its next instruction of Python.
            ident = ctypes.c_ulong(self._thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Stop))
            self._thread.join(0.5)
        return not self._thread.is_alive()


class TaskActor(Actor):
    """An actor in a task of somebody's event loop, which runs in another thread than the controller."""

    def __init__(self, number: int, controller: Controlling, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(number, controller)
        self._loop = loop
        self._done: Future[None] = Future()
        self._task: asyncio.Task[None] | None = None

    def start(self, fn: Callable[[Any], Any], world: object) -> None:
        """See Actor."""

        async def run() -> None:
            gated.set(self)
            try:
                outcome: Outcome[object] = Outcome(await fn(world))
            except BaseException as error:  # noqa: BLE001
                outcome = Outcome(error=error)
            self._end(outcome)
            self._done.set_result(None)

        def begin() -> None:
            self._task = self._loop.create_task(run(), name=self.name)

        self.has_started = True
        self._loop.call_soon_threadsafe(begin)

    def where(self) -> str:
        """See Actor."""
        stack = [] if self._task is None else self._task.get_stack()
        return _place(stack[-1] if stack else None)

    def join(self, timeout_s: float) -> bool:
        """See Actor."""
        try:
            self._done.result(timeout_s)
        except TimeoutError:
            if self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)
            try:
                self._done.result(0.5)
            except TimeoutError:
                return False
        return True


def run_in_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
    """Returns what a coroutine returns, run in another thread's loop. Raises TimeoutError."""
    return asyncio.run_coroutine_threadsafe(work, loop).result(timeout_s)


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return "nowhere"
    stack = traceback.extract_stack(frame)
    own = [one for one in stack if not any(part in one.filename for part in _NOT_OF_ACTORS)]
    shown = [own[-1]] if own else []
    if not own or stack[-1] is not own[-1]:
        shown.append(stack[-1])
    places = ", in ".join(f"{one.filename}:{one.lineno} ({one.line or one.name})" for one in shown)
    if any("psycopg" in one.filename and ".lock:" in (one.line or "") for one in stack[-2:]):
        places += ": another actor uses the same connection"
    return places
