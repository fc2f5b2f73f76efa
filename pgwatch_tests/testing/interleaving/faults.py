"""Faults: a step that fails as the server may let it, so that retries are tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg.pq import DiagnosticField, TransactionStatus

from pgwatch_tests.testing.interleaving.psycopg_gates import RoundTrip
from pgwatch_tests.testing.interleaving.step import Step

FaultKind = Literal["s", "d", "l", "c"]
FAULTS: dict[FaultKind, str] = {
    "s": "fault: 40001, serialization_failure",
    "d": "fault: 40P01, deadlock_detected",
    "l": "fault: connection lost, not committed",
    "c": "fault: connection lost, committed",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """That a step of an actor fails."""

    actor: int
    step: int
    """Which of the actor's own steps, counted from 0."""
    kind: FaultKind


def faults_of(steps: Sequence[Step]) -> Iterator[Fault]:
    """Returns each fault that can happen in a run of these steps: a lost connection only at COMMIT."""
    made: dict[int, int] = {}
    for step in steps:
        number = made[step.actor] = made.get(step.actor, -1) + 1
        kinds: tuple[FaultKind, ...] = ("s", "d", "l", "c") if step.kind == "commit" else ("s", "d")
        for kind in kinds:
            yield Fault(step.actor, number, kind)


def happen(trip: RoundTrip, kind: FaultKind) -> psycopg.Error:
    """Puts the session into the state in which the fault leaves it. Returns the error to raise."""
    pgconn = trip.connection.pgconn
    if kind in ("l", "c"):
        if kind == "c":
            pgconn.exec_(b"COMMIT")
        pgconn.finish()
        return psycopg.OperationalError("server closed the connection unexpectedly")
    if trip.kind == "commit":
        pgconn.exec_(b"ROLLBACK")
    elif not trip.connection.autocommit or pgconn.transaction_status == TransactionStatus.INTRANS:
        if pgconn.transaction_status == TransactionStatus.IDLE:
            pgconn.exec_(b"BEGIN")
        # It fails, and with it the transaction.
        pgconn.exec_(b"ROLLBACK TO SAVEPOINT pgwatch_fault")
    if kind == "d":
        return server_error(psycopg.errors.DeadlockDetected, "deadlock detected")
    message = "could not serialize access due to concurrent update"
    return server_error(psycopg.errors.SerializationFailure, message)


def server_error(class_: type[psycopg.Error], message: str, detail: str = "") -> psycopg.Error:
    """Returns an error as the server's, with its SQLSTATE."""
    fields = {
        DiagnosticField.SEVERITY: b"ERROR",
        DiagnosticField.SQLSTATE: (class_.sqlstate or "").encode(),
        DiagnosticField.MESSAGE_PRIMARY: message.encode(),
    }
    text = f"{message}\nDETAIL:  {detail}" if detail else message
    return class_(text, info=fields)  # type: ignore[arg-type]  # as psycopg pickles it
