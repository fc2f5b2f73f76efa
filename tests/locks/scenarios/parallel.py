"""Parallel queries: several processes that are one session to people."""

from __future__ import annotations

from tests.locks.scenarios.cast import Cast, Session
from tests.locks.scenarios.rows import accounts
from tests.locks.scenarios.truth import Truth, hard, scenario, soft
from tests.servers.sessions import RunningStatement


def _many(cast: Cast) -> None:
    accounts(cast)
    cast.run("CREATE TABLE many AS SELECT g AS n FROM generate_series(1, 50000) AS g; ANALYZE many")


def _parallel(session: Session, leader_takes_part: bool) -> None:
    name = "debug_parallel_query" if session.info.server_version >= 160_000 else "force_parallel_mode"
    session.execute(
        f"SET {name} = on; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;"
        " SET min_parallel_table_scan_size = 0;"
        f" SET parallel_leader_participation = {leader_takes_part}".encode()
    )


def _count_slowly(cast: Cast) -> None:
    """A function whose call reads `accounts`."""
    cast.run(
        "CREATE FUNCTION slow_key(int) RETURNS int LANGUAGE plpgsql PARALLEL SAFE AS"
        " $$ BEGIN PERFORM count(*) FROM accounts; RETURN $1; END $$"
    )


def _waiting_workers(cast: Cast, leader: Session) -> None:
    cast.until(
        "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND leader_pid = %s"
        " AND pid <> leader_pid",
        [leader.info.backend_pid],
    )


def _parallel_waiter(cast: Cast, leader_takes_part: bool) -> Truth:
    _many(cast)
    _count_slowly(cast)
    locker, reader = cast.session("locker"), cast.session("reader", autocommit=True)
    _parallel(reader, leader_takes_part)
    locker.execute("LOCK TABLE accounts")
    RunningStatement(reader, "SELECT count(*) FROM many WHERE slow_key(n) > 0", ())
    _waiting_workers(cast, reader)
    return Truth((hard("reader", "locker", "table accounts"),), roots={"locker": 1})


@scenario()
def parallel_query_waits(cast: Cast) -> Truth:
    return _parallel_waiter(cast, leader_takes_part=True)


@scenario()
def parallel_query_of_which_only_workers_wait(cast: Cast) -> Truth:
    return _parallel_waiter(cast, leader_takes_part=False)


@scenario()
def parallel_query_blocks(cast: Cast) -> Truth:
    _many(cast)
    reader, alter, select = (cast.session(part, autocommit=True) for part in ("reader", "alter", "select"))
    _parallel(reader, leader_takes_part=True)
    RunningStatement(reader, "SELECT count(*) FROM many WHERE pg_sleep(60) IS NOT NULL", ())
    cast.until(
        "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE granted AND leader_pid = %s"
        " AND pid <> leader_pid AND mode = 'AccessShareLock' AND locktype = 'relation'"
        " AND wait_event = 'PgSleep'",
        [reader.info.backend_pid],
    )
    cast.waits(alter, "ALTER TABLE many ADD COLUMN note text")
    cast.waits(select, "SELECT * FROM many")
    return Truth(
        (hard("alter", "reader", "table many"), soft("select", "alter", "table many")),
        roots={"reader": 2},
        causes={"reader": "ddl_queue"},
    )
