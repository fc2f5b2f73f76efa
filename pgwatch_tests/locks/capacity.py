"""Capacity of a server: its fixed limits, and how much of each is taken. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_NEARLY = 0.8


@dataclass(frozen=True, slots=True)
class Capacity:
    """The server's fixed limits (connections, lock table), and how much of each is taken."""

    connections: int
    """Clients' sessions, ours included; before PostgreSQL 18 those that are still connecting don't show."""
    max_connections: int
    reserved: int
    """The slots of max_connections kept for superusers and for pg_use_reserved_connections."""
    locked_objects: int
    """The locks that are held in the lock table; below half of max_locked_objects it counts an object once
    for each lock."""
    max_locked_objects: int

    @property
    def for_all(self) -> int:
        """The number of connections that roles without privileges share."""
        return max(0, self.max_connections - self.reserved)

    @property
    def connections_nearly_used_up(self) -> bool:
        """Whether more than 80 % of what is there for everybody is taken."""
        return self.connections > _NEARLY * self.for_all

    @property
    def lock_table_nearly_full(self) -> bool:
        """Whether more than 80 % of it is in use."""
        return self.locked_objects > _NEARLY * self.max_locked_objects
