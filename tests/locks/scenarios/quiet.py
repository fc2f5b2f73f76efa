"""States that look like trouble and in which nobody waits for a lock: nobody may be accused."""

from __future__ import annotations

from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.rows import accounts, add
from tests.locks.scenarios.truth import Truth, scenario
from tests.servers.sessions import RunningStatement


@scenario()
def vacuum_waits_for_a_buffer_pin(cast: Cast) -> Truth:
    accounts(cast)
    cursor, vacuum = cast.session("cursor"), cast.session("vacuum", autocommit=True)
    cursor.execute("DECLARE c CURSOR FOR SELECT * FROM accounts")
    cursor.execute("FETCH 1 FROM c")
    RunningStatement(vacuum, "VACUUM (FREEZE) accounts", ())
    cast.until_event(vacuum, "BufferPin")
    return Truth(innocents=("cursor", "vacuum"))


@scenario()
def sleeping(cast: Cast) -> Truth:
    sleeper = cast.session("sleeper")
    RunningStatement(sleeper, "SELECT pg_sleep(60)", ())
    cast.until_event(sleeper, "PgSleep")
    return Truth(innocents=("sleeper",))


@scenario()
def idle_in_transaction_that_nobody_waits_for(cast: Cast) -> Truth:
    accounts(cast)
    idle, aborted, other = cast.sessions("idle", "aborted", "other")
    add(idle, 42)
    add(other, 43)
    aborted.pgconn.exec_(b"BEGIN; SELECT 1/0")
    return Truth(innocents=("idle", "aborted", "other"))


@scenario()
def locks_that_nobody_wants(cast: Cast) -> Truth:
    accounts(cast)
    table, advisory, reader = cast.sessions("table", "advisory", "reader")
    table.execute("LOCK TABLE accounts")
    advisory.execute("SELECT pg_advisory_lock(1), pg_advisory_lock_shared(2)")
    reader.execute("SELECT pg_advisory_lock_shared(2)")
    return Truth(innocents=("table", "advisory", "reader"))


@scenario()
def locks_that_were_refused(cast: Cast) -> Truth:
    accounts(cast)
    holder, skips, tries = cast.sessions("holder", "skips", "tries")
    add(holder, 42)
    skips.execute("SELECT * FROM accounts FOR UPDATE SKIP LOCKED")
    holder.execute("SELECT pg_advisory_lock(1)")
    tries.execute("SELECT pg_try_advisory_lock(1)")
    return Truth(innocents=("holder", "skips", "tries"))


@scenario()
def serializable_transactions_that_read_the_same(cast: Cast) -> Truth:
    accounts(cast)
    for session in cast.sessions("one", "other"):
        session.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        session.execute("SELECT * FROM accounts")
    return Truth(innocents=("one", "other"))


@scenario()
def server_without_anybody(cast: Cast) -> Truth:
    accounts(cast)
    return Truth()
