"""Leases as sweeps see them: advisory locks that prove that an owner lives; who holds which.

A lease is `pg_advisory_lock(LEASE_KEY, hashtext(name))`, held by a session of the owner, of this or any other
database of the server. It ends with the session: within milliseconds after `kill -9` of its owner. An owner
that is stopped, or busy, has it still. `hashtext` has 32 bits: once in a while a name is taken for another
one that lives, and what it stands for stays until that one is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.identity.lease_names import LEASE_KEY
from pgwatch_tests.postgres.sessions.session import DatabaseSession

__all__ = ["KEEPALIVES", "LEASE_KEY", "hold_lease", "lease_holders", "live_lease_numbers", "run_lease"]

# An owner whose machine is gone, not stopped, doesn't hold a lease for hours: its kernel no longer answers.
KEEPALIVES = (
    ("tcp_keepalives_idle", "60"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "6"),
)


@dataclass(frozen=True, slots=True)
class _Held:
    """A row of queries/leases/holders.sql."""

    name: str
    pid: int | None


def run_lease(run: str) -> str:
    """The name of the lease of the run with this id."""
    return f"run:{run.lower()}"


def lease_holders(session: DatabaseSession, names: Collection[str]) -> Mapping[str, int | None]:
    """Returns the held leases among `names`, each with its backend (None: a prepared transaction).

    In whatever database of the server; what `session` itself holds doesn't count. Raises what
    `session.running` does.
    """
    if not names:
        return {}
    held = session.ask("leases/holders", _Held, {"lease_key": LEASE_KEY, "names": list(names)})
    return {one.name: one.pid for one in held}


def live_lease_numbers(session: DatabaseSession) -> frozenset[int]:
    """Returns `hashtext(name)` of each lease that another session holds: for conditions on many rows.

    Raises what `session.running` does.
    """
    return frozenset(session.ask_values("leases/numbers", int, {"lease_key": LEASE_KEY}))


@contextmanager
def hold_lease(session: DatabaseSession, name: str) -> Iterator[bool]:
    """Takes a lease on the session that sweeps. Returns whether it is ours, and nobody's in another database.

    So nobody who asks for it takes what is about to go, and two sweeps don't get into each other's way.
    Raises what `session.running` does.
    """
    parameters = {"lease_key": LEASE_KEY, "name": name}
    if not session.ask_values("leases/take", bool, parameters)[0]:
        yield False
        return
    try:
        # In another database, the same lock is another one.
        yield not lease_holders(session, [name])
    finally:
        # A session that is lost, or told to end, takes it along.
        with suppress(psycopg.Error, PgwatchError):
            session.ask_values("leases/free", bool, parameters)
