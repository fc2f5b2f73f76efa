"""Rows of queries/locks.sql, one for each process or prepared transaction."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.postgres.stored_text import decode

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

OURS = OWN_NAME.encode()
"""The application_name of our own connections."""
HIDDEN = b"<insufficient privilege>"
"""What pg_stat_get_activity says instead of a query."""


@lru_cache(maxsize=10_000)
def short_text(stored: bytes | None) -> str | None:
    """A name or state as text: decoded once, since most polls see those of the poll before."""
    return None if stored is None else decode(stored)


class ProcessRow(NamedTuple):
    """A row. Texts are as the server stores them, times in seconds since 1970."""

    pid: int
    gid: bytes
    backend_start: float | None
    backend_type: bytes | None
    datid: int | None
    usesysid: int | None
    application_name: bytes | None
    client_addr: bytes | None
    client_port: int | None
    state: bytes | None
    wait_event_type: bytes | None
    wait_event: bytes | None
    xact_age_s: float | None
    state_age_s: float | None
    query_age_s: float | None
    query: bytes | None
    leader_pid: int | None
    blockers: list[int] | None
    """What pg_blocking_pids() says; None if it wasn't asked."""
    safe_snapshot_blockers: list[int] | None
    locks: list[LockColumns] | None
    server: ServerColumns | None
    """Of the session that asked; None of all others."""
