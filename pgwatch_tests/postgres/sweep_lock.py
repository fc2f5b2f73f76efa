"""The sweep lock: an advisory lock, so that only one sweep at a time deletes in a database."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import psycopg

from pgwatch_tests.errors import BeingSweptError, PgwatchError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.text import durations

LOCK_KEY = 0x70677773_77656570
"""'pgwsweep': the key of that lock."""


@dataclass(frozen=True, slots=True)
class _Holder:
    """The row of queries/sweep/holder.sql."""

    pid: int
    application_name: str
    role: str | None
    client: str
    age_s: float | None


def take_sweep_lock(session: DatabaseSession) -> None:
    """Takes the lock for as long as the session lasts; waits for nobody.

    Raises BeingSweptError, which says who sweeps, and what `session.running` does.
    """
    bound = {"lock_key": LOCK_KEY}
    if session.ask_values("sweep/lock", bool, bound)[0]:
        return
    holders = session.ask("sweep/holder", _Holder, bound)
    raise BeingSweptError(f"another sweep is running in this database: {_who(holders)}")


def release_sweep_lock(session: DatabaseSession) -> None:
    """Frees the lock, if it is ours. Raises nothing: the end of the session frees it as well."""
    with suppress(psycopg.Error, PgwatchError), session.running():
        session.connection.execute(queries.load("sweep/unlock"))


def _who(holders: list[_Holder]) -> str:
    if not holders:
        return "it has just ended: run this one again"
    one = holders[0]
    parts = [f"pid {one.pid}", f"role {one.role}" if one.role else "", f"from {one.client}"]
    if one.age_s is not None:
        parts.append(f"for {durations.in_words(one.age_s)}")
    return ", ".join(filter(None, parts))
