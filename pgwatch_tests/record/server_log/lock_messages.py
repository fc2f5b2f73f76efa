"""Messages on locks in the server's log: deadlocks, and the waits that `log_lock_waits` tells. Pure.

DeadLockReport in src/backend/storage/lmgr/deadlock.c, ProcSleep in proc.c. A deadlock is known by its
SQLSTATE where the format tells it, a wait by its numbers and its lock's mode, which no language changes; a
format without SQLSTATE is understood in English. Statements are masked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from pgwatch_tests.record.server_log.entries import LogEntry
from pgwatch_tests.text.secrets import mask_name, mask_statement, mask_text

DEADLOCK_STATE = "40P01"
_DEADLOCK_WORDS = "deadlock detected"

_WAIT = re.compile(r"\b(?P<mode>(?:Access|Row|Share|Exclusive|SIRead|Update)\w*Lock)\b")
_TOOK = re.compile(r"(?P<s>\d+)[.,](?P<ms>\d{3}) ?ms")
_ENGLISH = re.compile(
    r"process (?P<pid>\d+) "
    r"(?P<what>still waiting|acquired|avoided deadlock|detected deadlock|failed to acquire)"
    r"(?: (?:for|while waiting for))? (?P<mode>\w+) on (?P<target>.+?)"
    r"(?: by rearranging queue order)? after \d+\.\d{3} ms"
)
_LINE = re.compile(
    r"Process (?P<pid>\d+) waits for (?P<mode>\w+) on (?P<target>.+); blocked by process (?P<by>\d+)\.?"
)
_NUMBER = re.compile(r"\d+")
_MODE = re.compile(r"\b\w*Lock\b")
_IN_RELATION = re.compile(r'tuple \((?P<tuple>\d+,\d+)\) in relation "(?P<relation>(?:[^"]|"")+)"')
_RELATION = re.compile(r"relation (\d+) of database (\d+)")
_LONGEST_STATEMENT = 4_000
_MOST_MEMBERS = 50
_MOST_OPEN = 10_000
# track_activity_query_size is at least this.
_SHORTEST_KEPT = 99


@dataclass(frozen=True, slots=True)
class LoggedSession:
    """A session as an entry tells it: its own name and statement, or only those that the server quotes."""

    pid: int
    name: str = ""
    has_name: bool = False
    user: str = ""
    database: str = ""
    statement: str = ""


@dataclass(frozen=True, slots=True)
class LoggedWait:
    """One wait that lasted longer than deadlock_timeout."""

    waiter: LoggedSession
    began: datetime
    ended: datetime | None
    """None: the log doesn't tell."""
    waited_s: float
    mode: str
    target: str
    """As the server has it: `transaction 742`, `relation 16384 of database 5`; empty if not understood."""
    context: str
    """`while updating tuple (0,1) in relation "users"`."""
    holders: tuple[int, ...]
    got_it: bool = False
    """Whether it got the lock; else the wait failed, or its end isn't known."""

    @property
    def relation(self) -> str:
        """The table of the row that is waited for; empty if it is no row's wait."""
        match = _IN_RELATION.search(self.context)
        return match["relation"].replace('""', '"') if match else ""

    @property
    def relation_oid(self) -> tuple[int, int] | None:
        """The relation's OID and its database's; None if it is no relation's wait."""
        match = _RELATION.search(self.target)
        return (int(match[1]), int(match[2])) if match else None


@dataclass(frozen=True, slots=True)
class LoggedMember:
    """A member of a deadlock, which waits for the next one."""

    session: LoggedSession
    mode: str
    target: str


@dataclass(frozen=True, slots=True)
class LoggedDeadlock:
    """A deadlock. The first member is the one that the server has ended."""

    at: datetime
    waited_s: float
    """How long the victim had waited; 0 if not told."""
    members: tuple[LoggedMember, ...]
    context: str


@dataclass(slots=True)
class LockMessages:
    """What a log tells of locks, in the order of time."""

    waits: list[LoggedWait] = field(default_factory=list)
    deadlocks: list[LoggedDeadlock] = field(default_factory=list)
    names: dict[int, list[tuple[datetime, str]]] = field(default_factory=dict)
    """The names that sessions had, by pid, as far as the format tells them."""


def lock_messages(entries: Iterable[LogEntry], since: datetime, until: datetime | None) -> LockMessages:
    """Returns what the entries between two moments tell."""
    found = LockMessages()
    open_waits: dict[int, LoggedWait] = {}
    for entry in entries:
        if entry.at < since or (until is not None and entry.at > until):
            continue
        if entry.has_name and entry.name:
            names = found.names.setdefault(entry.pid, [])
            name = mask_name(entry.name)
            if not names or names[-1][1] != name:
                names.append((entry.at, name))
        if _is_deadlock(entry):
            detected = open_waits.pop(entry.pid, None)
            deadlock = _deadlock(entry, detected)
            if deadlock is not None:
                found.deadlocks.append(deadlock)
            continue
        wait = _wait(entry)
        if wait is not None:
            known = open_waits.pop(entry.pid, None)
            if known is not None and abs((known.began - wait.began).total_seconds()) > 0.1:
                found.waits.append(known)
                known = None
            merged = wait if known is None else _continued(known, wait)
            if wait.got_it:
                found.waits.append(merged)
            elif len(open_waits) < _MOST_OPEN:
                open_waits[entry.pid] = merged
        elif entry.severity not in ("LOG", "") and entry.pid in open_waits:
            # The wait has failed: cancelled, timed out, or its session was ended.
            known = open_waits.pop(entry.pid)
            waited_s = max(known.waited_s, (entry.at - known.began).total_seconds())
            found.waits.append(_replaced(known, ended=entry.at, waited_s=waited_s))
    found.waits += open_waits.values()
    found.waits.sort(key=lambda wait: wait.began)
    return found


def _is_deadlock(entry: LogEntry) -> bool:
    return entry.state == DEADLOCK_STATE or (not entry.state and entry.message == _DEADLOCK_WORDS)


def _replaced(wait: LoggedWait, *, ended: datetime | None, waited_s: float) -> LoggedWait:
    return LoggedWait(
        wait.waiter,
        wait.began,
        ended,
        waited_s,
        wait.mode,
        wait.target,
        wait.context,
        wait.holders,
        wait.got_it,
    )


def _continued(known: LoggedWait, wait: LoggedWait) -> LoggedWait:
    """A wait by its first message, which has the holders, and its last, which has the time."""
    return LoggedWait(
        wait.waiter,
        known.began,
        wait.ended,
        max(known.waited_s, wait.waited_s),
        known.mode,
        known.target or wait.target,
        known.context or wait.context,
        known.holders or wait.holders,
        wait.got_it,
    )


def _session(entry: LogEntry) -> LoggedSession:
    statement = mask_statement(entry.statement)[:_LONGEST_STATEMENT]
    return LoggedSession(
        entry.pid, mask_name(entry.name), entry.has_name, entry.user, entry.database, statement
    )


def _wait(entry: LogEntry) -> LoggedWait | None:
    """Returns the wait that an entry is about; None if it is about none."""
    if entry.state not in ("", "00000"):
        return None
    took, mode = _TOOK.search(entry.message), _WAIT.search(entry.message)
    if took is None or mode is None or str(entry.pid) not in _NUMBER.findall(entry.message):
        return None
    english = _ENGLISH.match(entry.message)
    waited_s = int(took["s"]) / 1000 + int(took["ms"]) / 1_000_000
    # In another language, what has holders goes on: only who got the lock has none.
    got_it = english["what"] == "acquired" if english else not entry.detail
    numbers = [int(number) for number in _NUMBER.findall(entry.detail.partition(". ")[0])]
    return LoggedWait(
        _session(entry),
        entry.at - timedelta(seconds=waited_s),
        entry.at if got_it else None,
        waited_s,
        mode["mode"],
        english["target"] if english else "",
        mask_text(entry.context),
        tuple(dict.fromkeys(number for number in numbers if number != entry.pid)),
        got_it,
    )


def _deadlock(entry: LogEntry, detected: LoggedWait | None) -> LoggedDeadlock | None:
    lines = entry.detail.split("\n")
    circle: list[tuple[int, str, str]] = []
    for line in lines[:_MOST_MEMBERS]:
        step = _step(line)
        if step is None:
            break
        pid, mode, target, blocked_by = step
        circle.append((pid, mode, target))
        if blocked_by == circle[0][0]:
            break
    if not circle:
        return None
    statements = _statements("\n".join(lines[len(circle) :]), [pid for pid, _, _ in circle], entry.statement)
    own = _session(entry)
    members = []
    for pid, mode, target in circle:
        statement = mask_statement(statements.get(pid, ""))[:_LONGEST_STATEMENT]
        if pid == own.pid:
            session = LoggedSession(
                pid, own.name, own.has_name, own.user, own.database, own.statement or statement
            )
        else:
            # Of the same database as the victim, or at least of one of this server.
            session = LoggedSession(pid, statement=statement)
        members.append(LoggedMember(session, mode, target))
    waited_s = detected.waited_s if detected is not None else 0.0
    return LoggedDeadlock(entry.at, waited_s, tuple(members), mask_text(entry.context))


def _step(line: str) -> tuple[int, str, str, int] | None:
    """`Process 1 waits for ShareLock on transaction 742; blocked by process 2.`, in whichever language."""
    match = _LINE.fullmatch(line.strip())
    if match is not None:
        return int(match["pid"]), match["mode"], match["target"], int(match["by"])
    mode, numbers = _MODE.search(line), [int(number) for number in _NUMBER.findall(line)]
    if mode is None or len(numbers) < 2:
        return None
    return numbers[0], mode[0], "", numbers[-1]


def _statements(text: str, pids: list[int], victims: str) -> dict[int, str]:
    """The statements of the members, which follow in the same order, each behind its process.

    That of the victim is known whole: a line in it that looks like the next one's beginning is none.
    """
    heads: list[tuple[int, int, int]] = []
    place = 0
    for pid in pids:
        head = re.compile(rf"^[^\d\n]*\b{pid}: ?", re.MULTILINE).search(text, place)
        if head is None:
            continue
        place = head.end()
        if not heads and text.startswith(victims[:_SHORTEST_KEPT], place):
            place += _shared(text[place:], victims)
        heads.append((pid, head.start(), head.end()))
    ends = [start for _, start, _ in heads[1:]] + [len(text)]
    return {pid: text[begin:end].rstrip("\n") for (pid, _, begin), end in zip(heads, ends, strict=True)}


def _shared(text: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, other, strict=False)))
