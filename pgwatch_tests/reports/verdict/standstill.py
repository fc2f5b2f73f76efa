"""Standstill: a suite that may hang though nothing is blocked: what it does, and where to look. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pgwatch_tests.locks.model import LockSnapshot, Session
from pgwatch_tests.locks.waits.session_waits import waits_for
from pgwatch_tests.reports.render.detail_text import KeyName
from pgwatch_tests.text.plain_text import plain

STILL_S = 10.0
"""A suite of which no session has changed its state for so long may hang."""

_BESIDE = "look at what the tests do beside it: sleeps, locks and services of their own"
_BUSY = "Many sessions do the same at once: fewer workers may be faster"
_WHERE_TO_LOOK = (
    # By the beginning of what a session waits for, the most telling first; and which key helps in Sessions.
    # Who waits for its client hears no cancel (ProcessClientWriteInterrupt, src/backend/tcop/postgres.c).
    ("its client", "A program doesn't read its rows, or doesn't send the rest of a COPY", "terminate"),
    ("timer", "A statement sleeps, as pg_sleep does", "cancel"),
    ("internal lock", _BUSY, ""),
    ("brief lock", _BUSY, ""),
    ("disk", "A statement reads or writes much: look at its plan (EXPLAIN)", "cancel"),
    ("CPU", "A statement computes: look at its plan (EXPLAIN)", "cancel"),
)


@dataclass(frozen=True, slots=True)
class Standstill:
    """A suite's sessions, none of which has changed its state for `still_s` seconds, in steps."""

    sessions: tuple[Session, ...]
    still_s: float

    @property
    def is_idle(self) -> bool:
        """Whether none of them is in a transaction."""
        return all(one.state == "idle" for one in self.sessions)

    @property
    def are_tests(self) -> bool:
        """Whether they tell which tests they run."""
        return self.sessions[0].identity is not None

    @property
    def doing(self) -> list[str]:
        """`3 wait for their clients`, `1 idle`: what they do, that of most of them first."""
        doing = Counter(map(_doing, self.sessions)).most_common()
        return [f"{number:,} {several if number > 1 else one}" for (one, several), number in doing]


def standstill(snapshot: LockSnapshot, run_pids: Collection[int] = ()) -> Standstill | None:
    """The standstill of a suite, without the sessions of `run_pids`; None if any of its sessions moves."""
    suite = _suite([one for one in snapshot.clients if one.pid not in run_pids], snapshot.database)
    ages_s = [one.state_age_s for one in suite]
    known_s = [age_s for age_s in ages_s if age_s is not None]
    if not suite or len(known_s) < len(ages_s) or min(known_s) < STILL_S:
        return None
    return Standstill(tuple(suite), _in_steps(min(known_s)))


def where_to_look(found: Standstill, keys: KeyName, *, acts: bool) -> str:
    """What a standstill comes from, most likely, and what shows more; `acts`: keys end sessions."""
    if found.is_idle:
        return f"The server waits for the next statement: {_BESIDE}."
    at_work = [one for one in found.sessions if one.state == "active"]
    if not at_work:
        return f"Transactions are open, and the server waits for their next statement: {_BESIDE}."
    waits = [waits_for(one) for one in at_work]
    for beginning, words, command in _WHERE_TO_LOOK:
        if any(one.startswith(beginning) for one in waits):
            does = "ends it" if command == "terminate" else "cancels it"
            helps = f"; {keys(command)} {does} there" if command and acts else ""
            return f"{words}. {in_sessions(keys, 'which')}{helps}."
    return f"{in_sessions(keys, 'what each does')}."


def in_sessions(keys: KeyName, what: str) -> str:
    """`Sessions (2) shows which`"""
    return f"Sessions ({keys('sessions')}) shows {what}"


def _in_steps(still_s: float) -> float:
    """An age that is told all the time, in steps: to draw each second of it anew tells nobody more."""
    step_s = 5.0 if still_s < 60.0 else 10.0
    return still_s // step_s * step_s


def _suite(clients: Sequence[Session], database: str) -> Sequence[Session]:
    """The sessions that tell which test they run; where none does, those in the tested database."""
    named = [one for one in clients if one.identity is not None]
    return named or [one for one in clients if one.database == database]


def _doing(session: Session) -> tuple[str, str]:
    """What a session does, for one and for several: `waits for disk DataFileRead`, `idle in transaction`."""
    waits = plain(waits_for(session))
    if not waits:
        state = plain(session.state or "starting")
        return state, state
    if waits == "CPU":
        return "computes (CPU)", "compute (CPU)"
    return f"waits for {waits}", f"wait for {waits.replace('its client', 'their clients')}"
