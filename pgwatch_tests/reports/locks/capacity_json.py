"""How much of a server's connections and lock table is in use, as parts of JSON documents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from pgwatch_tests.locks.model import Capacity
from pgwatch_tests.locks.snapshot.connection_usage import ConnectionGroup


def connections(capacity: Capacity, groups: Iterable[ConnectionGroup]) -> dict[str, object]:
    """`{used, max, reserved, nearly_used_up, by: [{application_name, user, database, sessions, idle}]}`"""
    return {
        "used": capacity.connections,
        "max": capacity.max_connections,
        "reserved": capacity.reserved,
        "nearly_used_up": capacity.connections_nearly_used_up,
        "by": [asdict(group) for group in groups],
    }


def lock_table(capacity: Capacity) -> dict[str, object]:
    """`{used, max, nearly_full}`, in locked objects."""
    return {
        "used": capacity.locked_objects,
        "max": capacity.max_locked_objects,
        "nearly_full": capacity.lock_table_nearly_full,
    }
