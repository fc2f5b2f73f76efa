"""Deadlocks that polls caught, those of the same tests and statements together, each in full. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pgwatch_tests.locks.contention.deadlocks import CaughtDeadlock, DeadlockedSession
from pgwatch_tests.locks.diagnosis.evidence import advice_afterwards
from pgwatch_tests.reports.render.detail_text import Labelled, labelled
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import clock
from pgwatch_tests.text.toned_sql import toned_sql_line
from pgwatch_tests.text.toned_text import Cell, Toned

_TIMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class RecurringDeadlock:
    """One deadlock, as often as it came: the same tests with the same statements. The last time is first."""

    times: tuple[CaughtDeadlock, ...]

    @property
    def last(self) -> CaughtDeadlock:
        """The last time that it came."""
        return self.times[0]


def recurring(caught: Sequence[CaughtDeadlock]) -> tuple[RecurringDeadlock, ...]:
    """The deadlocks of a watch, which has them in their order; that which came last is first."""
    together: dict[object, list[CaughtDeadlock]] = {}
    for one in reversed(caught):
        members = sorted((_name(member), member.side.statement) for member in one.sessions)
        together.setdefault(tuple(members), []).append(one)
    return tuple(RecurringDeadlock(tuple(times)) for times in together.values())


def deadlock_title(one: RecurringDeadlock) -> str:
    """`Deadlock of test_a and test_b`"""
    names = [plain(_name(member)) for member in one.last.sessions]
    listed = " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"Deadlock of {listed}"


def deadlock_lines(one: RecurringDeadlock) -> list[Cell | Labelled]:
    """When it came, who waited for what with which statement, whom the server ended, and what to do."""
    lines: list[Cell | Labelled] = [labelled("Seen", _times(one)), labelled("Ended", _victims(one))]
    if better := advice_afterwards(one.last.advice):
        lines.append(labelled("Fix", plain(better), "good"))
    for member in one.last.sessions:
        lines += ["", (Toned(plain(member.who), "lit"),), labelled("waits for", plain(member.target))]
        if member.side.statement:
            lines.append(Labelled("with", (toned_sql_line(member.side.statement),)))
    return lines


def _times(one: RecurringDeadlock) -> str:
    """`at 15:22:30 UTC`; of several `6 times: 15:22:30, 15:22:27, … UTC`, the last one first."""
    number = len(one.times)
    if number == 1:
        return f"at {clock(one.last.seen_at)}"
    times = [clock(each.seen_at).partition(" ") for each in one.times[:_TIMES_SHOWN]]
    more = ", …" if number > len(times) else ""
    return f"{number:,} times: {', '.join(time for time, *_ in times)}{more} {times[0][2]}"


def _victims(one: RecurringDeadlock) -> str:
    """`test_b 2 times, test_a`: whom the server ended, as far as polls have seen."""
    known = Counter(each.victim.rpartition(" (")[0] or each.victim for each in one.times if each.victim)
    parts = [
        plain(name) + (f" {number:,} times" if number > 1 else "") for name, number in known.most_common()
    ]
    unknown = len(one.times) - known.total()
    if not parts:
        return "by the server, which of them isn't known"
    return ", ".join(parts) + (f"; {unknown:,} times not known" if unknown else "")


def _name(member: DeadlockedSession) -> str:
    """`test_a` of `test_a (gw0, pid 1)`: worker and pid differ from time to time."""
    return member.who.rpartition(" (")[0] or member.who
