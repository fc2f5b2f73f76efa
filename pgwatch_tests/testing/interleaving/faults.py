"""Faults: a step that fails as the server may let it, so that retries are tested. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.testing.interleaving.schedules.step import Step

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
