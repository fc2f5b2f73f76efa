"""Rows of queries/locks.sql, one for each process or prepared transaction."""

from __future__ import annotations

from typing import NamedTuple

LockColumns = tuple[
    str,
    int | None,
    int | None,
    int | None,
    int | None,
    str | None,
    int | None,
    int | None,
    int | None,
    int | None,
    str,
    str,
    bool,
    float | None,
]
"""An element of `locks`: LockTag's fields in their order, then the request's."""

ServerColumns = tuple[float, float, tuple[int, int, int, int], list[int] | None, float]
"""The `server`: when it was polled and started, its capacity, the databases that are shut, seconds spent."""

HIDDEN = "<insufficient privilege>"
"""What pg_stat_get_activity says instead of a query."""


class ProcessRow(NamedTuple):
    """A row; the times are in seconds since 1970."""

    pid: int
    gid: str
    backend_start: float | None
    backend_type: str | None
    datid: int | None
    usesysid: int | None
    application_name: str | None
    client_addr: str | None
    client_port: int | None
    state: str | None
    wait_event_type: str | None
    wait_event: str | None
    xact_age_s: float | None
    state_age_s: float | None
    query_age_s: float | None
    query: str | None
    leader_pid: int | None
    blockers: list[int] | None
    """What pg_blocking_pids() says; None if it wasn't asked."""
    safe_snapshot_blockers: list[int] | None
    locks: list[LockColumns] | None
    server: ServerColumns | None
    """Of the session that asked; None of all others."""
