"""The log's part of one run: read, joined to its recording if there is one, and kept in that."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgwatch_tests.identity.known_tests import KnownTests
from pgwatch_tests.record.model import DeadlockEvent, RecordedServer, WaitEvent
from pgwatch_tests.record.recording.amendment import amend
from pgwatch_tests.record.recording.reader import Recording
from pgwatch_tests.record.server_log.joining import LogJoin, RelationNames
from pgwatch_tests.record.server_log.lock_messages import LockMessages
from pgwatch_tests.record.server_log.log_files import LogSettings, ServerLog, read_server_log
from pgwatch_tests.text.numbers import plural

_ALWAYS = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RunLog:
    """All waits and deadlocks of a run, by polls and log together, and what is to be said of the log."""

    waits: tuple[WaitEvent, ...]
    deadlocks: tuple[DeadlockEvent, ...]
    told: str
    """`the server's log tells 3 waits and 1 deadlock`."""
    remarks: tuple[str, ...]
    """What couldn't be read."""


def join_run_log(
    log: Path,
    began: datetime,
    recording: Path | None,
    settings: LogSettings,
    tests: KnownTests | None = None,
    relations: RelationNames = lambda _database, _relation: "",
    within_s: float | None = None,
) -> RunLog:
    """Reads what the log tells of a run that began then, and amends its recording, if there is one.

    `began` is this machine's time; the log is read for `within_s` at most. Raises ConfigurationError if the
    log can't be read, RecordingError if the recording can't be read or written.
    """
    with ExitStack() as held:
        recorded = None if recording is None else held.enter_context(Recording.open(recording))
        servers = () if recorded is None else recorded.servers
        ahead_s = next((one.clock_ahead_s for one in servers if one.clock_ahead_s is not None), 0.0)
        # A log may tell whole seconds only.
        since = (began + timedelta(seconds=ahead_s)).replace(microsecond=0)
        found = read_server_log(log, since, None, settings, within_s)
        waits = () if recorded is None else recorded.waits()
        deadlocks = () if recorded is None else recorded.deadlocks()
        for number, messages in _by_server(found.messages, servers):
            joined = LogJoin(messages, recorded, server=number, tests=tests, relations=relations).join(
                waits, deadlocks
            )
            waits, deadlocks = joined.waits, joined.deadlocks
    if recording is not None and (found.messages.waits or found.messages.deadlocks):
        amend(recording, waits, deadlocks)
    return RunLog(waits, deadlocks, _told(found), tuple(found.remarks))


def _by_server(messages: LockMessages, servers: tuple[RecordedServer, ...]) -> list[tuple[int, LockMessages]]:
    """Divides what a log tells by the server's starts, which pids don't outlive."""
    starts = sorted((one.started_at, one.number) for one in servers if one.started_at is not None)
    if not starts:
        return [(1, messages)]
    parts = []
    for place, (started_at, number) in enumerate(starts):
        since = started_at if place else datetime.min.replace(tzinfo=UTC)
        until = starts[place + 1][0] if place + 1 < len(starts) else _ALWAYS
        parts.append(
            (
                number,
                LockMessages(
                    [one for one in messages.waits if since <= one.began < until],
                    [one for one in messages.deadlocks if since <= one.at < until],
                    {
                        pid: [(at, name) for at, name in names if since <= at < until]
                        for pid, names in messages.names.items()
                    },
                ),
            )
        )
    return parts


def _told(found: ServerLog) -> str:
    waits, deadlocks = len(found.messages.waits), len(found.messages.deadlocks)
    if not waits and not deadlocks:
        return "the server's log tells of no deadlock, and of no wait longer than deadlock_timeout"
    return f"the server's log tells {plural(waits, 'wait')} and {plural(deadlocks, 'deadlock')}"
