"""Amendment of a recording that has ended: its waits and deadlocks, as the server's log makes them exact."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import StaticPool, create_engine, select

from pgwatch_tests.record.events import Changes
from pgwatch_tests.record.model import DeadlockEvent, WaitEvent
from pgwatch_tests.record.recording import layout
from pgwatch_tests.record.recording.unwritten import Unwritten


def amend(path: Path, waits: Sequence[WaitEvent], deadlocks: Sequence[DeadlockEvent]) -> None:
    """Puts these in the place of the recording's own, all or none. Raises RecordingError."""
    # Whatever is there is looked at first.
    layout.open_to_read(path).dispose()
    place = f"file:{quote(os.fsencode(path.absolute()))}?mode=rw"
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(place, uri=True, timeout=5.0), poolclass=StaticPool
    )
    try:
        with layout.told(path, "amended"), engine.begin() as connection:
            columns = layout.recording.c
            dictionary, is_whole = connection.execute(select(columns.dictionary, columns.is_whole)).one()
            connection.execute(layout.waits.delete())
            connection.execute(layout.deadlocks.delete())
            amended = Unwritten(dictionary)
            amended.add_events(Changes(tuple(waits), tuple(enumerate(deadlocks, start=1)), ()))
            amended.write(connection, {"is_whole": is_whole})
    finally:
        engine.dispose()
