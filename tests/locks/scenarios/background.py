"""Waits for vacuum, for notifications, and for what the server does on its own."""

from __future__ import annotations

from pgwatch_tests.locks.model import Party
from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.rows import accounts
from tests.locks.scenarios.truth import Truth, hard, scenario, soft
from tests.servers.sessions import RunningStatement
from tests.waiting import wait_until

EAGER_AND_SLOW = {
    "autovacuum": "on",
    "autovacuum_naptime": "1s",
    "autovacuum_vacuum_cost_delay": "100ms",
    "autovacuum_vacuum_cost_limit": "1",
    # A worker that is in the way gives up when the waiter's deadlock check finds it.
    "deadlock_timeout": "600s",
}


@scenario(settings=EAGER_AND_SLOW)
def autovacuum_worker(cast: Cast) -> Truth:
    _littered(cast)
    return _behind_autovacuum(cast, "autovacuum")


@scenario(settings=EAGER_AND_SLOW)
def autovacuum_worker_that_prevents_wraparound(cast: Cast) -> Truth:
    _littered(cast, "WITH (autovacuum_enabled = off, autovacuum_freeze_max_age = 100000)")
    # A block with an exception handler that writes uses up a transaction id.
    cast.run(
        "CREATE TEMP TABLE used (n int); DO $$ BEGIN FOR n IN 1..110000 LOOP"
        " BEGIN INSERT INTO used VALUES (n); EXCEPTION WHEN division_by_zero THEN NULL; END;"
        " END LOOP; END $$"
    )
    return _behind_autovacuum(cast, "autovacuum_to_prevent_wraparound", "(to prevent wraparound)")


def _littered(cast: Cast, storage: str = "") -> None:
    accounts(cast)
    cast.run(f"CREATE TABLE litter (id int, filler text) {storage}")
    cast.run(
        "INSERT INTO litter SELECT g, repeat('x', 1000) FROM generate_series(1, 5000) AS g;"
        "DELETE FROM litter WHERE id % 2 = 0"
    )


def _behind_autovacuum(cast: Cast, cause: str, purpose: str = "") -> Truth:
    locker, select = cast.sessions("locker", "select")
    (pid,) = cast.until(
        "SELECT pid FROM pg_stat_activity JOIN pg_locks USING (pid)"
        " WHERE backend_type = 'autovacuum worker' AND query LIKE '%%VACUUM%% public.litter%%'"
        " AND mode = 'ShareUpdateExclusiveLock' AND granted AND wait_event = 'VacuumDelay'"
        " AND datname = %s AND query LIKE %s",
        [cast.database, f"%{purpose}"],
        timeout_s=40,
    )
    cast.name("autovacuum", Party(pid))
    cast.waits(locker, "ALTER TABLE litter ADD COLUMN note text")
    cast.waits(select, "SELECT * FROM litter")
    return Truth(
        (hard("locker", "autovacuum", "table litter"), soft("select", "locker", "table litter")),
        roots={"autovacuum": 2},
        causes={"autovacuum": cause},
    )


@scenario(settings={"synchronous_standby_names": "nobody"})
def commit_with_a_notification(cast: Cast) -> Truth:
    accounts(cast)
    first, second, quiet = (cast.session(part, autocommit=True) for part in ("first", "second", "quiet"))
    # A commit that waits for a standby which never comes keeps the lock that puts notifications in order.
    first.execute("SET synchronous_commit = on")

    def hangs() -> bool:
        running = RunningStatement(first, "UPDATE accounts SET balance = 1; NOTIFY a", ())
        wait_until(lambda: not running.thread.is_alive() or _waits_for_standby(cast, running.pid))
        return running.thread.is_alive()

    # The checkpointer may not have read the setting yet.
    wait_until(hangs, message="a commit that waits for a standby")
    quiet.execute("LISTEN a")
    cast.waits(second, "NOTIFY b")
    return Truth((hard("second", "first", "commit with NOTIFY"),), roots={"first": 1}, innocents=("quiet",))


def _waits_for_standby(cast: Cast, pid: int) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'SyncRep'"
    return cast.observer.execute(query, [pid]).fetchone() is not None


@scenario()
def vacuums_that_advance_the_frozen_ids(cast: Cast) -> Truth:
    cast.run("CREATE TABLE one (n int); CREATE TABLE other (n int)")
    holder, first, second = (cast.session(part, autocommit=True) for part in ("holder", "first", "second"))
    # The first one gets as far as writing to pg_database, with the lock on frozen ids held.
    holder.execute("BEGIN; LOCK TABLE pg_database IN SHARE MODE")
    cast.waits(first, "VACUUM one")
    cast.waits(second, "VACUUM other")
    return Truth((hard("first", "holder", "table pg_database"), hard("second", "first")), roots={"holder": 2})


@scenario()
def vacuum_by_hand_twice(cast: Cast) -> Truth:
    accounts(cast)
    holder, waiter = cast.session("holder"), cast.session("waiter", autocommit=True)
    holder.execute("LOCK TABLE accounts IN SHARE UPDATE EXCLUSIVE MODE")
    cast.waits(waiter, "VACUUM accounts")
    return Truth((hard("waiter", "holder", "table accounts"),), roots={"holder": 1})
