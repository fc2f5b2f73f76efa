"""The controller of a run: lets one actor make one step, then waits until all actors stand.

An actor stands at its next gate, at its end, or waits in the server for a lock that another actor has. When
the answer to a COMMIT arrives, its locks are free and whoever waited for them is awake (CommitTransaction,
src/backend/access/transam/xact.c); a session that is closed frees them later, which is waited for.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.testing.interleaving.actor import Actor, Controlling, Session, Stop
from pgwatch_tests.testing.interleaving.effects import scalars
from pgwatch_tests.testing.interleaving.endings import end_actors
from pgwatch_tests.testing.interleaving.faults import FAULTS, Fault
from pgwatch_tests.testing.interleaving.gates.round_trip import GatedConnection, Gates, RoundTrip
from pgwatch_tests.testing.interleaving.monitor import Monitor
from pgwatch_tests.testing.interleaving.schedules.search import Event, Status
from pgwatch_tests.testing.interleaving.schedules.step import Step, names_of_run
from pgwatch_tests.testing.interleaving.schedules.touch import Touch, union
from pgwatch_tests.testing.interleaving.touched import UseOfLocks, touched_by_answered, touched_by_waiting
from pgwatch_tests.testing.interleaving.waits import InterleaveError, Waits
from pgwatch_tests.testing.races.outcomes import Outcome

Choose = Callable[[int, Sequence[int], int | None], int]
"""Gets the number of the step, who is ready, and who made the last one; returns who makes this one."""

_FIRST_LOOK_S = 0.002
_LONGEST_PAUSE_S = 0.02


class DivergedError(InterleaveError):
    """A schedule that couldn't be followed."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run, by one schedule."""

    chosen: tuple[int, ...]
    ready: tuple[tuple[int, ...], ...]
    initial: tuple[Status, ...]
    steps: tuple[Step, ...]
    events: tuple[Event, ...]
    outcomes: tuple[Outcome[object], ...]
    deadlocks: tuple[tuple[int, ...], ...]
    """The actors of each deadlock, the one that was ended first."""
    left_open: tuple[int, ...]
    """Actors that ended with a transaction open."""
    transactions: frozenset[str]
    """Ids of the transactions that wrote, as far as they are known."""
    has_autocommitted: bool
    """Whether a statement was a transaction of its own, whose id isn't known."""


@dataclass(slots=True)
class _Moment:
    """A step while it is made."""

    actor: int
    label: str
    touches: list[Touch] = field(default_factory=list)
    after: dict[int, Status] = field(default_factory=dict)


class Controller(Controlling):
    """Runs actors, one run at a time."""

    def __init__(
        self,
        gates: Gates,
        *,
        step_timeout_s: float = 5.0,
        max_steps: int = 200,
        isolation: IsolationLevel | None = None,
    ) -> None:
        """`isolation`: the level of the actors' transactions, whatever they ask for."""
        self.gates = gates
        self.changed = threading.Condition()
        self.monitors: dict[str, Monitor] = {}
        self.use_of_locks = UseOfLocks()
        self.is_cancelled = False
        self._step_timeout_s = step_timeout_s
        self._max_steps = max_steps
        self.isolation = isolation
        self._forced: weakref.WeakSet[GatedConnection] = weakref.WeakSet()
        """Connections whose transactions have another level than they ask for."""
        self._actors: Sequence[Actor] = ()
        self._waits = Waits(())
        self.names: tuple[str, ...] = ()
        """Names that were made for the run, as far as they are known."""
        self._moment = _Moment(-1, "")
        self._failure: str | None = None
        self._deadlocks: list[tuple[int, ...]] = []
        self._clock = 0
        self._usual_s = _FIRST_LOOK_S / 4
        """How long a step takes that doesn't wait: on a busy machine, looking sooner only adds to it."""

    def close(self) -> None:
        """Closes the connections that it has opened, and gives those of actors their own level back."""
        for connection in self._forced:
            connection.force_isolation(None)
        for monitor in self.monitors.values():
            monitor.close()

    def run(
        self,
        actors: Sequence[Actor],
        functions: Sequence[Callable[[Any], Any]],
        world: object,
        choose: Choose,
        fault: Fault | None = None,
    ) -> Run:
        """Runs the functions to their ends. Raises InterleaveError, which says so if an actor still runs."""
        self._actors = actors
        self._waits = Waits(actors)
        self.names = names_of_run(scalars(world))
        with self.changed:
            self._failure = "cancelled" if self.is_cancelled else None
        self._deadlocks = []
        moments: list[_Moment] = [_Moment(-1, "")]
        self._moment = moments[0]
        chosen: list[int] = []
        ready: list[tuple[int, ...]] = []
        steps: list[Step] = []
        self.gates.begin(actors)
        try:
            for actor, function in zip(actors, functions, strict=True):
                actor.start(function, world)
                self._settle(actor)
            initial = tuple(_status(actor) for actor in actors)
            while could := self._ready():
                pick = choose(len(chosen), could, chosen[-1] if chosen else None)
                if len(chosen) == self._max_steps:
                    raise InterleaveError(
                        f"actor {actors[pick].letter} doesn't end: {self._max_steps} steps were made, "
                        f"the last one {steps[-1].shown!r}. Bound its retries"
                    )
                chosen.append(pick)
                ready.append(could)
                made = sum(step.actor == pick for step in steps)
                if fault is not None and (fault.actor, fault.step) == (pick, made):
                    actors[pick].fault_kind = fault.kind
                moments.append(self._make_step(actors[pick], steps))
        except psycopg.Error as error:
            self._end(actors)
            raise InterleaveError(f"the connection that watches the actors failed: {error}") from error
        except BaseException as error:
            still = self._end(actors)
            if still and isinstance(error, InterleaveError):
                error.args = (f"{error}. {still}",)
            raise
        finally:
            self.gates.end()
        left_open = tuple(actor.number for actor in actors if actor.roll_back_left(self._step_timeout_s))
        for actor in actors:
            actor.join(self._step_timeout_s)
        events = tuple(
            Event(one.actor, union(one.touches), tuple(sorted(one.after.items())), one.label)
            for one in moments[1:]
        )
        return Run(
            tuple(chosen), tuple(ready), initial, tuple(steps), events,
            tuple(actor.outcome for actor in actors), tuple(self._deadlocks), left_open,
            frozenset().union(*(actor.transactions for actor in actors)),
            any(actor.has_autocommitted for actor in actors),
        )  # fmt: skip

    def _end(self, actors: Sequence[Actor]) -> str:
        return end_actors(actors, self.monitors, self.changed, self._step_timeout_s)

    def fail(self, message: str) -> None:
        """See Controlling."""
        with self.changed:
            self._failure = message
            self.changed.notify_all()

    def note_trip(self, actor: Actor, trip: RoundTrip, session: Session) -> None:
        """See Controlling."""
        actor.session = session
        connection = trip.connection
        if self.isolation is not None and connection.status in (
            TransactionStatus.IDLE,
            TransactionStatus.INTRANS,
        ):
            self._forced.add(connection)
            connection.force_isolation(self.isolation)
        if trip.kind is not None or trip.may_wait:
            try:
                self._monitor(session)
            except (PgwatchError, psycopg.Error) as error:
                self.fail(f"the connection that watches the actors can't be opened: {error}")
                raise Stop from error

    def note_answer(self, actor: Actor, trip: RoundTrip, error: BaseException | None) -> None:
        """See Controlling."""
        if actor.is_stopped:
            if (ended := actor.sessions.get(trip.connection.backend_pid)) is not None:
                ended.in_transaction &= ended.is_open
            return
        session = actor.session
        if session is None or (trip.kind is None and session.monitor is None):
            return
        try:
            touch = touched_by_answered(
                self._monitor(session), actor, session, trip, error, self.use_of_locks
            )
        except psycopg.Error:
            touch = Touch(is_unknown=True)
        with self.changed:
            self._moment.touches.append(touch)

    def _monitor(self, session: Session) -> Monitor:
        if session.monitor is not None:
            return session.monitor
        connection = session.connection
        monitor = self.monitors.get(connection.server)
        if monitor is None:
            monitor = self.monitors[connection.server] = Monitor(connection.dsn)
        session.monitor = monitor
        if not monitor.knows(session.pid):
            letter = next((one.letter for one in self._actors if session in one.sessions.values()), "?")
            self.fail(f"actor {letter}: {monitor.doing(session.pid)}")
        return monitor

    def _make_step(self, actor: Actor, steps: list[Step]) -> _Moment:
        trip, session = actor.trip, actor.session
        assert trip is not None
        assert session is not None
        assert trip.kind is not None
        fault = actor.fault_kind
        step = Step(actor.number, trip.kind, trip.text, session.number, fault=fault or "", names=self.names)
        self._moment = moment = _Moment(actor.number, step.pattern)
        with self.changed:
            actor.state = "running"
            actor.result = ""
        actor.open_gate()
        self._settle(actor)
        waited = actor.blocked_since > 0
        moved = {actor.number} | self._go_on(is_new=waited)
        result = FAULTS[fault] if fault else "waits" if waited else actor.result
        steps.append(replace(step, text=trip.text, result=result, waited=waited))
        if len(moved) > 1:
            self._amend(steps, moved - {actor.number})
        moment.after = {number: _status(self._actors[number]) for number in moved}
        return moment

    def _amend(self, steps: list[Step], moved: Iterable[int]) -> None:
        """Notes the results of steps that had to wait and have come to an end."""
        for number in moved:
            for at in range(len(steps) - 1, -1, -1):
                if steps[at].actor == number and steps[at].waited:
                    steps[at] = replace(steps[at], result=f"waits, then {self._actors[number].result}")
                    break

    def _settle(self, actor: Actor) -> None:
        """Waits until an actor stands. Raises InterleaveError if it doesn't."""
        began = time.monotonic()
        deadline = began + self._step_timeout_s
        pause = min(max(_FIRST_LOOK_S, 4 * self._usual_s), _LONGEST_PAUSE_S)
        while True:
            with self.changed:
                if self.changed.wait_for(
                    lambda: self._failure is not None or actor.state in ("ready", "done"), pause
                ):
                    break
            if self._waits.holds_up(actor):
                self._block(actor)
                return
            if time.monotonic() > deadline:
                raise InterleaveError(self._stuck(actor))
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)
        if self._failure is not None:
            raise InterleaveError(self._failure)
        self._usual_s += 0.1 * (min(time.monotonic() - began, _LONGEST_PAUSE_S) - self._usual_s)
        self._wait_for_closed(actor, deadline)

    def _block(self, actor: Actor) -> None:
        """Takes note that an actor waits, and for what."""
        session, trip = actor.session, actor.trip
        touch = Touch(is_unknown=True)
        if session is not None and session.monitor is not None and trip is not None:
            touch = touched_by_waiting(session.monitor, actor, session, trip, self.use_of_locks)
        with self.changed:
            self._moment.touches.append(touch)
            if actor.state in ("running", "starting"):
                actor.state = "blocked"
            self._clock += 1
            actor.blocked_since = self._clock

    def _go_on(self, *, is_new: bool) -> set[int]:
        """Waits for actors that aren't blocked any more, ends deadlocks. Returns who has moved.

        `is_new`: whether there are waits that may have closed a cycle.
        """
        moved: set[int] = set()
        while any(one.blocked_since for one in self._actors):
            free = self._end_deadlock() if is_new else []
            free = free or self._waits.free()
            if not free:
                break
            moved |= self._release(free)
            is_new = any(one.blocked_since for one in free)
        return moved

    def _end_deadlock(self) -> list[Actor]:
        """Ends a wait if there is a deadlock. Returns whose it is."""
        cycle = self._waits.deadlock()
        if cycle is None:
            return []
        victim, *others = cycle
        assert victim.session is not None
        assert victim.session.monitor is not None
        self._deadlocks.append((victim.number, *sorted(one.number for one in others)))
        victim.is_victim = True
        victim.session.monitor.cancel(victim.session.pid)
        return [victim]

    def _release(self, free: Sequence[Actor]) -> set[int]:
        for actor in free:
            actor.blocked_since = 0
            with self.changed:
                if actor.state == "blocked":
                    actor.state = "running"
        for actor in free:
            self._settle(actor)
        return {actor.number for actor in free}

    def _ready(self) -> tuple[int, ...]:
        """Returns who can make a step; waits for whoever is blocked by nobody's next step. () at the end."""
        deadline = time.monotonic() + self._step_timeout_s
        while True:
            ready = tuple(one.number for one in self._actors if one.state == "ready")
            if ready or all(one.state == "done" for one in self._actors):
                return ready
            with self.changed:
                self.changed.wait(_LONGEST_PAUSE_S)
            for number in self._go_on(is_new=True):
                self._moment.after[number] = _status(self._actors[number])
            if time.monotonic() > deadline:
                raise InterleaveError(f"no actor can go on: {self._waits.told()}")

    def _wait_for_closed(self, actor: Actor, deadline: float) -> None:
        """Waits until the server has ended sessions that were closed in a transaction."""
        for session in actor.sessions.values():
            if not (session.in_transaction and session.is_closed and session.monitor is not None):
                continue
            while session.monitor.locks(session.pid).resources:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.001)
            with self.changed:
                self._moment.touches.append(Touch(frees=session.end_transaction(), is_unknown=True))

    def _stuck(self, actor: Actor) -> str:
        parts = [
            f"actor {actor.letter} has neither come to its next statement nor ended in "
            f"{self._step_timeout_s:g} s, and no lock of another actor holds it up: it is at {actor.where()}"
        ]
        session = actor.session
        if session is not None and session.monitor is not None and not session.is_closed:
            parts.append(f"its session: {session.monitor.doing(session.pid)}")
            for _, blocker in session.monitor.blockers([session.pid]):
                parts.append(f"it waits for session {blocker}: {session.monitor.doing(blocker)}")
        return "; ".join(parts)


def _status(actor: Actor) -> Status:
    return "done" if actor.state == "done" else "blocked" if actor.state == "blocked" else "ready"
