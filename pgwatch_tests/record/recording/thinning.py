"""Thinning of a recording that has grown too large: fewer samples of its older parts, all of its events.

The part that was thinned out least often loses every second sample, the oldest such part first; one that has
lost all but every sixteenth goes as a whole. The last minutes stay as they are.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from pgwatch_tests.record.recording import layout
from pgwatch_tests.record.recording.read_segments import Segment
from pgwatch_tests.record.recording.segments import SegmentWriter

_MOST_TIMES: Final = 4
_LAST_KEPT: Final = 5
_FULL: Final = 15 / 16
"""The part of the size that is used; the rest is for what comes until the next call."""
_MOST_AT_ONCE: Final = 1
"""Segments per call: polls wait for it."""


def thin(connection: Connection, max_bytes: int, newest: int) -> bool:
    """Thins out a little if nearly `max_bytes` are in use. Returns whether anything went.

    `newest` is the number of the segment that is written to.
    """
    went = False
    for _ in range(_MOST_AT_ONCE):
        if layout.size(connection) <= max_bytes * _FULL:
            break
        columns = layout.segments.c
        candidate = connection.execute(
            select(columns.number, columns.thinned)
            .where(columns.number <= newest - _LAST_KEPT)
            .order_by(columns.thinned, columns.number)
            .limit(1)
        ).first()
        if candidate is None:
            break
        number, thinned = candidate
        if thinned >= _MOST_TIMES:
            number = connection.execute(select(func.min(columns.number))).scalar_one()
            _drop(connection, number)
        else:
            _halve(connection, number, thinned)
        went = True
    if went:
        _leave_mark(connection, max_bytes)
    return went


def _halve(connection: Connection, number: int, thinned: int) -> None:
    segment = Segment(layout.read_parts(connection, number))
    writer = SegmentWriter()
    for place in range(0, len(segment.times), 2):
        writer.add(segment.snapshot(place))
    writer.take()
    part = writer.whole()
    connection.execute(delete(layout.parts).where(layout.parts.c.segment == number))
    connection.execute(insert(layout.parts).values(layout.part_row(number, part)))
    connection.execute(
        update(layout.segments)
        .where(layout.segments.c.number == number)
        .values(polls=writer.polls, until_us=writer.until_us, thinned=thinned + 1)
    )


def _leave_mark(connection: Connection, max_bytes: int) -> None:
    """Says in one mark, which the next one takes the place of, up to when samples are missing."""
    columns, marks = layout.segments.c, layout.marks.c
    text = f"fewer samples before this, all events, to stay below {max_bytes:,} bytes"
    until_us = connection.execute(select(func.max(columns.until_us)).where(columns.thinned > 0)).scalar_one()
    if until_us is None:
        until_us = connection.execute(select(func.min(columns.began_us))).scalar_one()
    connection.execute(delete(layout.marks).where(marks.kind == "thinned", marks.text == text))
    connection.execute(insert(layout.marks).values(at_us=until_us, kind="thinned", text=text))


def _drop(connection: Connection, number: int) -> None:
    connection.execute(delete(layout.parts).where(layout.parts.c.segment == number))
    connection.execute(delete(layout.segments).where(layout.segments.c.number == number))
