"""Gates as actors and the controller see them, in whichever driver or proxy they are.

A gate is where a round trip of an actor stops before it is sent. Whoever has gates tells of each round trip
(`RoundTrip`) and of the connection that it is made over (`GatedConnection`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import DiagnosticField, TransactionStatus

from pgwatch_tests.testing.interleaving.faults import FaultKind
from pgwatch_tests.testing.interleaving.schedules.step import StepKind

if TYPE_CHECKING:
    from pgwatch_tests.testing.interleaving.actor import Actor

ABOVE_READ_COMMITTED = (IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE)
"""The levels at which all statements of a transaction see what the first one saw."""
OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR, TransactionStatus.ACTIVE)


class GatedConnection(ABC):
    """A connection of an actor."""

    backend_pid: int

    @property
    @abstractmethod
    def status(self) -> TransactionStatus:
        """The state of its transaction, as of the server's last answer."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether the client has closed it."""

    @property
    @abstractmethod
    def server(self) -> str:
        """Which database of which server it is to: equal for connections to the same one."""

    @property
    @abstractmethod
    def dsn(self) -> str:
        """A connection string for that database, without the gates."""

    @property
    @abstractmethod
    def known_isolation(self) -> IsolationLevel | None:
        """The level of the transaction, as far as it can be told without asking."""

    @abstractmethod
    def transaction_isolation(self) -> IsolationLevel:
        """Returns the level of the transaction that is open."""

    @property
    def keeps_snapshot(self) -> bool:
        """Whether a statement sent now is one of a transaction above READ COMMITTED, as far as is known."""
        return False

    def forget_isolation(self) -> None:  # noqa: B027  # who reads all statements has nothing to be told
        """Takes note that a statement may have changed the level of later transactions."""

    @abstractmethod
    def force_isolation(self, level: IsolationLevel | None) -> None:
        """Gives transactions that begin now this level, whatever they ask for; None: what they ask for."""

    @abstractmethod
    def roll_back(self, timeout_s: float) -> None:
        """Rolls back the transaction that an actor has left open."""

    @abstractmethod
    def cancel(self) -> None:
        """Cancels what it does, where the server can't be asked to."""


class RoundTrip:
    """What an actor is about to send, and what came back."""

    __slots__ = ("connection", "is_empty", "is_rest", "is_untold", "kind", "may_wait", "rolls_back", "text")

    def __init__(
        self,
        connection: GatedConnection,
        kind: StepKind | None,
        text: str = "",
        *,
        is_untold: bool = False,
        rolls_back: bool = False,
        may_wait: bool = False,
        is_rest: bool = False,
        is_empty: bool = False,
    ) -> None:
        self.connection = connection
        self.kind = kind
        """None: no step."""
        self.text = text
        self.is_untold = is_untold
        """Whether it goes on after this round trip: COPY, a stream, a pipeline."""
        self.rolls_back = rolls_back
        self.may_wait = may_wait
        """Whether it can wait for a lock though it is no step: a statement that is only prepared."""
        self.is_rest = is_rest
        """Whether it belongs to the step before, and passes without a gate."""
        self.is_empty = is_empty
        """Whether nothing is sent: there is no transaction to end."""

    def result(self) -> str:
        """Returns what came back, in short."""
        return ""


class GatedActor(Protocol):
    """Whoever is stopped at gates."""

    def pass_gate(self, trip: RoundTrip) -> None:
        """Returns when the round trip may be sent."""

    async def pass_gate_async(self, trip: RoundTrip) -> None:
        """The same for a task."""

    def take_fault(self) -> FaultKind | None:
        """Returns how the round trip shall fail, unsent; None if it is to be sent."""

    def answered(self, trip: RoundTrip, error: BaseException | None) -> BaseException | None:
        """Takes note of the answer. Returns the error to raise instead of `error`, or the same."""


class Gates(Protocol):
    """All gates of an exploration."""

    where: str
    """Which statements pass them, in words."""

    def install(self) -> None:
        """Puts the gates where round trips pass, until `remove`."""

    def remove(self) -> None:
        """Takes them out again."""

    def begin(self, actors: Sequence[Actor]) -> None:
        """Takes note of the actors of a run that begins."""

    def end(self) -> None:
        """Takes note that the run is over: nobody is stopped until the next one."""


class SeveralGates:
    """The gates of several drivers."""

    where = "psycopg 3 has gates, and SQLAlchemy for psycopg 2; for any other driver use interleave_requests"

    def __init__(self, *each: Gates) -> None:
        self._each = each

    def install(self) -> None:
        """See Gates."""
        for one in self._each:
            one.install()

    def remove(self) -> None:
        """See Gates."""
        for one in self._each:
            one.remove()

    def begin(self, actors: Sequence[Actor]) -> None:
        """See Gates."""
        for one in self._each:
            one.begin(actors)

    def end(self) -> None:
        """See Gates."""
        for one in self._each:
            one.end()


def result_text(value: str | None) -> str:
    """Returns how the only value of a result is shown."""
    return f"→ {'NULL' if value is None else value[:60]}"


def rows_text(count: int) -> str:
    """Returns how the number of rows is shown."""
    return f"{count} row{'' if count == 1 else 's'}"


def server_error(class_: type[psycopg.Error], message: str, detail: str = "") -> psycopg.Error:
    """Returns an error as the server's, with its SQLSTATE."""
    fields = {
        DiagnosticField.SEVERITY: b"ERROR",
        DiagnosticField.SQLSTATE: (class_.sqlstate or "").encode(),
        DiagnosticField.MESSAGE_PRIMARY: message.encode(),
    }
    text = f"{message}\nDETAIL:  {detail}" if detail else message
    return class_(text, info=fields)  # type: ignore[arg-type]  # as psycopg pickles it


def fault_error(kind: FaultKind) -> psycopg.Error:
    """Returns the error of a fault."""
    if kind == "d":
        return server_error(psycopg.errors.DeadlockDetected, "deadlock detected")
    if kind == "s":
        message = "could not serialize access due to concurrent update"
        return server_error(psycopg.errors.SerializationFailure, message)
    return psycopg.OperationalError("server closed the connection unexpectedly")
