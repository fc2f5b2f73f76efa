"""Schedules: which actor made which step, as an id that can be replayed and as text. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pgwatch_tests.testing.interleaving.faults import FAULTS, Fault
from pgwatch_tests.testing.interleaving.schedules.step import LETTERS, Step
from pgwatch_tests.testing.races.outcomes import Outcome
from pgwatch_tests.text.plain_text import plain

_MARKED = re.compile(rf"([{LETTERS}])([{''.join(FAULTS)}])?")
_ID = re.compile(rf"(?P<letters>(?:{_MARKED.pattern})*)@(?P<digest>[0-9a-f]{{4}})")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A run as it is told to a person."""

    steps: tuple[Step, ...]
    outcomes: tuple[Outcome[object], ...]
    number: int
    """Which run of the exploration it was, counted from 1."""
    preemptions: int
    reason: str = ""
    """What is wrong with it; empty if nothing is."""
    deadlocks: tuple[tuple[int, ...], ...] = ()

    @property
    def letters(self) -> str:
        """The actors of the steps, in order: `BAAB`. A step that failed by a fault has its mark: `BAsB`."""
        return "".join(LETTERS[step.actor] + step.fault for step in self.steps)

    @property
    def id(self) -> str:
        """The letters, and a hash of the steps without their values: `BAAB@5f3c`."""
        return f"{self.letters}@{digest(self.steps)}"

    def text(self, explored: int | None = None) -> str:
        """Returns the steps and outcomes in lines. `explored`: how many runs there were."""
        of = "" if explored is None else f"{_ordinal(self.number)} of {explored}; "
        lines = [f"schedule {self.id} ({of}replay: --pgwatch-replay {self.id})"]
        rows = _joined(self.steps)
        width = max((len(shown) for _, shown, _ in rows), default=0)
        lines += [f"  {letter}  {shown.ljust(width)}  {result}".rstrip() for letter, shown, result in rows]
        for victim, *rest in self.deadlocks:
            others = ", ".join(LETTERS[one] for one in rest)
            lines.append(
                f"deadlock: {LETTERS[victim]} with {others}; {LETTERS[victim]}, which had waited longest, "
                "was ended"
            )
        lines.append(f"outcome: {outcome_text(self.outcomes)}{': ' + self.reason if self.reason else ''}")
        return "\n".join(lines)


def parse(schedule_id: str) -> tuple[tuple[int, ...], Fault | None, str]:
    """Returns the actors of an id, its fault if it has one, and its hash. Raises ValueError."""
    match = _ID.fullmatch(schedule_id.strip())
    if match is None:
        raise ValueError(f"{schedule_id!r} isn't the id of a schedule, such as BAAB@5f3c")
    marked = _MARKED.findall(match["letters"])
    actors = tuple(LETTERS.index(letter) for letter, _ in marked)
    fault = None
    for at, (_, mark) in enumerate(marked):
        if mark:
            fault = Fault(actors[at], actors[:at].count(actors[at]), mark)
    return actors, fault, match["digest"]


def digest(steps: Sequence[Step]) -> str:
    """Returns four hex digits that tell whether steps are those of the same code."""
    told = "\n".join(f"{step.actor} {step.kind} {step.pattern}" for step in steps)
    return hashlib.sha256(told.encode()).hexdigest()[:4]


def outcome_text(outcomes: Sequence[Outcome[object]]) -> str:
    """Returns `A True, B UniqueViolation 23505`."""
    return ", ".join(
        f"{letter} {plain(outcome.signature, 80)}" for letter, outcome in zip(LETTERS, outcomes, strict=False)
    )


def _joined(steps: Sequence[Step]) -> list[tuple[str, str, str]]:
    """A COMMIT goes on the line of the statement that it follows at once."""
    rows: list[tuple[str, str, str]] = []
    previous: Step | None = None
    for step in steps:
        letter = LETTERS[step.actor]
        if (
            step.kind == "commit"
            and previous is not None
            and previous.actor == step.actor
            and not previous.waited
        ):
            _, shown, result = rows.pop()
            rows.append((letter, f"{shown}; {step.shown}", plain(step.result or result, 80)))
        else:
            rows.append((letter, step.shown, plain(step.result, 80)))
        previous = step
    return rows


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
