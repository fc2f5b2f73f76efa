"""How much of a server's connections and lock table is in use: in words, and for JSON documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.connection_usage import ConnectionGroup, connection_groups
from pgwatch_tests.text.plain_text import plain

_GROUPS_SHOWN = 5
_CLOSE_POOLS = "Close pools and sessions in the fixtures' clean-up, or raise max_connections."
_LOCK_LESS = (
    'Soon any statement may fail with "out of shared memory": lock fewer tables in one transaction '
    "(a schema or a partition at a time), or raise max_locks_per_transaction."
)


def connections(capacity: Capacity) -> str:
    """`14 of 100 connections`"""
    return f"{capacity.connections:,} of {capacity.max_connections:,} connections"


def lock_table(capacity: Capacity) -> str:
    """`the lock table holds 5,440 of about 6,400 objects`"""
    return (
        f"the lock table holds {capacity.locked_objects:,} of about {capacity.max_locked_objects:,} objects"
    )


def warnings(snapshot: LockSnapshot) -> list[str]:
    """A line for each of the two that is nearly used up: how much, by whom, and what to do."""
    capacity = snapshot.capacity
    sentences = []
    if capacity is not None and capacity.connections_nearly_used_up:
        kept = f", {capacity.reserved:,} of them kept for superusers" if capacity.reserved else ""
        taken = f"{connections(capacity)} are taken (max_connections{kept})"
        sentences.append(f"{taken}: {holders(connection_groups(snapshot.sessions))}. {_CLOSE_POOLS}")
    if capacity is not None and capacity.lock_table_nearly_full:
        words = lock_table(capacity)
        sentences.append(f"{words[0].upper()}{words[1:]}. {_LOCK_LESS}")
    return sentences


def what_to_do(capacity: Capacity) -> list[str]:
    """What to do about each of the two that is nearly used up."""
    sentences = [_CLOSE_POOLS] if capacity.connections_nearly_used_up else []
    return [*sentences, _LOCK_LESS] if capacity.lock_table_nearly_full else sentences


def holders(groups: Sequence[ConnectionGroup]) -> str:
    """`40 by worker gw0 (user app, database shop, 38 idle), 7 by …, and 3 by others`"""
    parts = [_group(one) for one in groups[:_GROUPS_SHOWN]]
    others = sum(one.sessions for one in groups[_GROUPS_SHOWN:])
    return ", ".join(parts) + (f", and {others:,} by others" if others else "")


def connection_fields(capacity: Capacity, groups: Iterable[ConnectionGroup]) -> dict[str, object]:
    """`{used, max, reserved, nearly_used_up, by: [{application_name, user, database, sessions, idle}]}`"""
    return {
        "used": capacity.connections,
        "max": capacity.max_connections,
        "reserved": capacity.reserved,
        "nearly_used_up": capacity.connections_nearly_used_up,
        "by": [asdict(group) for group in groups],
    }


def lock_table_fields(capacity: Capacity) -> dict[str, object]:
    """`{used, max, nearly_full}`, in locked objects."""
    return {
        "used": capacity.locked_objects,
        "max": capacity.max_locked_objects,
        "nearly_full": capacity.lock_table_nearly_full,
    }


def _group(one: ConnectionGroup) -> str:
    about = [
        f"user {plain(one.user)}" if one.user else "",
        f"database {plain(one.database)}" if one.database else "",
        f"{one.idle:,} idle" if one.idle else "",
    ]
    name = plain(one.application_name) or "sessions without a name"
    return f"{one.sessions:,} by {name} ({', '.join(filter(None, about))})".removesuffix(" ()")
