"""The result of an exploration. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pgwatch_tests.testing.interleaving.schedules.schedule import Schedule
from pgwatch_tests.text.numbers import plural


@dataclass(frozen=True, slots=True)
class Exploration:
    """What an exploration has found."""

    explored: int
    """How many schedules were run."""
    complete: bool
    """Whether each order that matters was run, up to `max_preemptions`."""
    why: str
    """What was and wasn't run, in words."""
    left: int
    """How many schedules are known to be left; each may lead to more."""
    bad: tuple[Schedule, ...] = ()
    """Schedules that broke the invariant, or whose outcome no serial order has; the simplest first."""
    deadlocks: tuple[Schedule, ...] = ()
    """Schedules in which actors waited for each other."""
    trouble: str = ""
    """Why a run couldn't go on; nothing was run after it."""
    prevention: tuple[str, ...] = ()
    """What would prevent the first of `bad`: what follows from its statements, and what was tried."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def assert_holds(self) -> None:
        """Raises AssertionError with the simplest bad schedule, or with what kept a run from its end.

        An exploration that isn't complete and has found nothing doesn't raise: ask `complete`.
        """
        if self.bad or self.trouble:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        lines = []
        if self.bad:
            lines.append(self.bad[0].text(self.explored))
            if self.prevention:
                lines.append(f"what would prevent it: {'; '.join(self.prevention)}")
            if len(self.bad) > 1:
                lines.append(f"{plural(len(self.bad) - 1, 'more schedule')} with a bad outcome")
        if self.trouble:
            lines.append(self.trouble)
        found = f"{plural(self.explored, 'schedule')} in {self.seconds:.2f} s: {self.why}"
        lines.append(f"{'complete' if self.complete else 'not complete'}, {found}")
        return "\n".join([*lines, *self.notes])
