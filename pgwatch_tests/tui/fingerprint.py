"""What of a snapshot is news: all that is shown of it but the times, which move with every poll. Pure."""

from __future__ import annotations

from pgwatch_tests.locks.model import LockSnapshot


def news(snapshot: LockSnapshot) -> tuple[object, ...]:
    """Equal for two snapshots that differ in durations only."""
    return (
        [(group.waiter, group.blockers, group.kind, group.lock) for group in snapshot.shown_groups],
        [
            (one.pid, one.backend_start, one.application_name, one.state, one.wait_event, one.query)
            for one in snapshot.sessions
        ],
        [one.gid for one in snapshot.prepared],
        snapshot.deadlocks,
        snapshot.probable_deadlocks,
    )
