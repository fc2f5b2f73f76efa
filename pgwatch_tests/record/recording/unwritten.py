"""What a recording's file doesn't have yet, and the statements that write it, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, Executable, Table, bindparam, delete, func, insert, update
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as upsert

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.record.events import Changes, leak_events
from pgwatch_tests.record.model import DeadlockEvent, Mark, RecordedServer, TestSighting, WaitEvent
from pgwatch_tests.record.recording import layout
from pgwatch_tests.record.recording.details import deflated
from pgwatch_tests.record.recording.segments import Part
from pgwatch_tests.record.recording.values import microseconds

_MOST_BYTES: Final = 8 << 20
_MOST_WAITS: Final = 20_000
_MOST_TESTS: Final = 50_000


@dataclass(frozen=True, slots=True)
class UnwrittenPart:
    """A part, and how far its segment goes with it."""

    segment: int
    began_us: int
    until_us: int
    polls: int
    """All of the segment's so far."""
    part: Part
    is_whole: bool = False
    """Whether it takes the place of all parts of its segment."""


@dataclass(slots=True)
class Unwritten:
    """Parts and events since the last transaction."""

    dictionary: bytes
    parts: list[UnwrittenPart] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    servers: dict[int, RecordedServer] = field(default_factory=dict)
    leak_report: LeakReport | None = None
    _waits: dict[int, WaitEvent] = field(default_factory=dict)
    _deadlocks: dict[int, DeadlockEvent] = field(default_factory=dict)
    _tests: list[TestSighting] = field(default_factory=list)

    def add_part(self, part: UnwrittenPart) -> None:
        """Adds a part; a whole one takes the place of those of its segment."""
        if part.is_whole:
            self.parts = [one for one in self.parts if one.segment != part.segment]
        self.parts.append(part)

    def add_events(self, changes: Changes) -> None:
        """Adds events; later ones take the place of earlier ones of the same number."""
        self._waits |= {wait.number: wait for wait in changes.waits}
        self._deadlocks |= {2 * number: deadlock for number, deadlock in changes.deadlocks}
        self._tests += changes.tests

    def add_deadlock(self, number: int, deadlock: DeadlockEvent) -> None:
        """Adds a deadlock that polls didn't see, by its number among these."""
        self._deadlocks[2 * number + 1] = deadlock

    def bound(self) -> float:
        """Drops what has waited too long for room in the file: all samples, the oldest events.

        Returns the seconds of the samples that were dropped; 0 if none were.
        """
        for number in list(self._waits)[:-_MOST_WAITS]:
            del self._waits[number]
        del self._tests[:-_MOST_TESTS]
        if sum(len(one.part.body) for one in self.parts) <= _MOST_BYTES:
            return 0.0
        seconds = (self.parts[-1].until_us - self.parts[0].began_us) / 1e6
        self.parts.clear()
        return seconds

    def write(self, connection: Connection, totals: dict[str, object]) -> None:
        """Writes all of it; `totals` are columns of `recording`. Raises DBAPIError."""
        connection.execute(update(layout.recording).values(totals))
        _run(
            connection,
            _SERVERS,
            [{"number": number, "detail": self._deflated(server)} for number, server in self.servers.items()],
        )
        for one in self.parts:
            if one.is_whole:
                connection.execute(_NO_PARTS, {"whole": one.segment})
            connection.execute(_PARTS, layout.part_row(one.segment, one.part))
            connection.execute(
                _SEGMENTS,
                {
                    "number": one.segment,
                    "began_us": one.began_us,
                    "until_us": one.until_us,
                    "polls": one.polls,
                    "thinned": 0,
                },
            )
        _run(connection, _WAITS, [self._wait_row(wait) for wait in self._waits.values()])
        _run(
            connection,
            _DEADLOCKS,
            [
                {"number": number, "at_us": microseconds(one.at), "detail": self._deflated(one)}
                for number, one in self._deadlocks.items()
            ],
        )
        _run(connection, _TESTS, [_test_row(one) for one in self._tests])
        _run(
            connection,
            _MARKS,
            [
                {"at_us": microseconds(one.at), "kind": one.kind, "text": storable(one.text)}
                for one in self.marks
            ],
        )
        if self.leak_report is not None:
            connection.execute(layout.leak_report.delete())
            connection.execute(layout.leaks.delete())
            connection.execute(insert(layout.leak_report), {"detail": self._deflated(self.leak_report)})
            rows = [{"detail": self._deflated(leak)} for leak in leak_events(self.leak_report)]
            _run(connection, insert(layout.leaks), rows)

    def _deflated(self, value: object) -> bytes:
        return deflated(value, self.dictionary)

    def _wait_row(self, wait: WaitEvent) -> dict[str, object]:
        return {
            "number": wait.number,
            "began_us": microseconds(wait.began),
            "ended_us": None if wait.ended is None else microseconds(wait.ended),
            "waited_s": wait.waited_s,
            "detail": self._deflated(wait),
        }


def storable(text: str) -> str:
    """The text as SQLite can keep it: lone surrogates, which stand for bytes that are no text, as codes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _test_row(seen: TestSighting) -> dict[str, object]:
    return {
        "server": seen.server,
        "runner": seen.runner,
        "worker": seen.worker,
        "test": storable(seen.test),
        "first_us": microseconds(seen.first_seen),
        "last_us": microseconds(seen.last_seen),
        "active_us": None if seen.last_active is None else microseconds(seen.last_active),
        "polls": seen.polls,
    }


def _run(connection: Connection, statement: Executable, rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        connection.execute(statement, rows)


def _last_wins(table: Table, *columns: str) -> Insert:
    statement = upsert(table)
    return statement.on_conflict_do_update(set_={name: statement.excluded[name] for name in columns})


def _tests_added() -> Insert:
    statement = upsert(layout.tests)
    before, new = layout.tests.c, statement.excluded
    active = func.max(
        func.coalesce(before.active_us, new.active_us), func.coalesce(new.active_us, before.active_us)
    )
    return statement.on_conflict_do_update(
        set_={
            "first_us": func.min(before.first_us, new.first_us),
            "last_us": func.max(before.last_us, new.last_us),
            "active_us": active,
            "polls": before.polls + new.polls,
        }
    )


# Made once: several are run every two seconds.
_SERVERS: Final = _last_wins(layout.servers, "detail")
_SEGMENTS: Final = _last_wins(layout.segments, "until_us", "polls")
_NO_PARTS: Final = delete(layout.parts).where(layout.parts.c.segment == bindparam("whole"))
_PARTS: Final = insert(layout.parts)
_WAITS: Final = _last_wins(layout.waits, "ended_us", "waited_s", "detail")
_DEADLOCKS: Final = _last_wins(layout.deadlocks, "detail")
_TESTS: Final = _tests_added()
_MARKS: Final = insert(layout.marks)
