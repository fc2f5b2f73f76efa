"""Outcomes of functions that ran at the same time. Pure."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What a call returned, or raised."""

    value: T | None = None
    error: BaseException | None = None
    started_s: float = 0.0
    """When the call began, in seconds since the first one of its round."""
    ended_s: float = 0.0

    @property
    def is_ok(self) -> bool:
        """Whether the call returned."""
        return self.error is None

    @property
    def duration_s(self) -> float:
        """How long the call took."""
        return self.ended_s - self.started_s

    @property
    def signature(self) -> str:
        """What can be compared between runs: the value's text, or the error's class and SQLSTATE."""
        return repr(self.value) if self.error is None else error_name(self.error)

    def __str__(self) -> str:
        return self.signature


def error_name(error: BaseException) -> str:
    """Returns an error's class, and the SQLSTATE that it or the driver's error in it has."""
    state = sqlstate(error)
    return type(error).__name__ + (f" {state}" if state else "")


def not_ended(timeout: float) -> str:
    """Returns what is said of a call that hasn't ended in time, in seconds."""
    return f"not ended within {timeout:g} s"


def check_not_async(function: Callable[..., object], caller: str) -> None:
    """Raises TypeError for a coroutine function: in a thread it returns a coroutine, and nothing is run."""
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{caller} calls functions in threads: use {caller}_async for a coroutine function")


def sqlstate(error: BaseException) -> str | None:
    """Returns the SQLSTATE of a driver's error, also of one that SQLAlchemy or Django has wrapped."""
    seen: BaseException | None = error
    for _ in range(10):
        for candidate in (seen, getattr(seen, "orig", None)):
            for name in ("sqlstate", "pgcode"):
                state = getattr(candidate, name, None)
                if isinstance(state, str):
                    return state
        if seen is None:
            break
        seen = seen.__cause__
    return None


@dataclass(frozen=True, slots=True)
class Outcomes(Generic[T]):
    """The outcomes of a race, in the order of the calls' numbers."""

    each: Sequence[Outcome[T]] = field(default_factory=tuple)

    @property
    def values(self) -> list[T]:
        """What the calls returned that didn't fail."""
        return [one.value for one in self.each if one.is_ok]  # type: ignore[misc]  # None is a T then

    @property
    def errors(self) -> list[BaseException]:
        """What the others raised."""
        return [one.error for one in self.each if one.error is not None]

    @property
    def order(self) -> list[int]:
        """The numbers of the calls in the order in which they ended."""
        return sorted(range(len(self.each)), key=lambda number: self.each[number].ended_s)

    @property
    def overlap(self) -> int:
        """How many calls were under way at once, at most."""
        moments = sorted([(one.started_s, 1) for one in self.each] + [(one.ended_s, -1) for one in self.each])
        running = most = 0
        for _, change in moments:
            running += change
            most = max(most, running)
        return most

    def exactly_one(self) -> T:
        """Returns the value of the only call that returned. Raises AssertionError with all outcomes."""
        return self._counted(1, 1)[0]

    def at_most(self, k: int) -> list[T]:
        """Returns the values, if no more than `k` calls returned. Raises AssertionError."""
        return self._counted(0, k)

    def _counted(self, low: int, high: int) -> list[T]:
        values = self.values
        if low <= len(values) <= high:
            return values
        expected = "exactly one call" if low == high == 1 else f"at most {high} of the calls"
        raise AssertionError(
            f"{expected} should have succeeded, but {len(values)} of {len(self.each)} did\n{self}"
        )

    def __str__(self) -> str:
        counted = Counter(one.signature for one in self.each)
        lines = [f"  {count} × {signature}" for signature, count in counted.most_common()]
        overlap = self.overlap
        if overlap < len(self.each):
            lines.append(
                f"  only {overlap} of {len(self.each)} calls overlapped: a race may have been missed"
                " (interleave tries the orders themselves)"
            )
        return "\n".join(lines)
