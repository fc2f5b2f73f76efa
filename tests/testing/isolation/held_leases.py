"""Leases as the server has them, and the end of the sessions that hold them."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from tests.waiting import wait_until

_SESSIONS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1885828980 AND granted"


def end_leases(owner: Connection[TupleRow]) -> None:
    """Ends each session of the server that holds a lease, and waits until it is gone."""
    pids = [pid for (pid,) in owner.execute(_SESSIONS).fetchall()]
    assert pids
    owner.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [pids])
    # Of the sessions themselves, a transaction sees what it saw first.
    held = f"{_SESSIONS} AND pid = ANY (%s)".encode()
    wait_until(lambda: owner.execute(held, [pids]).fetchone() is None, message="the sessions are gone")


def lease_is_held(owner: Connection[TupleRow], name: str) -> bool:
    """Whether a session has the lease of that name."""
    query = f"{_SESSIONS} AND objid::bigint = hashtext(%s)::bigint & 4294967295"
    return owner.execute(query.encode(), [name]).fetchone() is not None
