"""Tables that the statistics prove untouched are left out, and only those: traps for a wrong "clean"."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.leaks.baseline.comparison import Since
from tests.leaks.baseline.baselines import compared, has_trustworthy_statistics, run, taken, until_empty, use
from tests.leaks.scanning import RunningScan, rows, settings
from tests.servers.server_places import server_directory
from tests.servers.sessions import Connect, Database, MakeRole, unique_name
from tests.waiting import wait_until

TABLES = tuple(f"CREATE TABLE t{number} AS SELECT 1 AS id" for number in range(5))
PREPARED = "BEGIN; INSERT INTO t1 VALUES (2); PREPARE TRANSACTION '{}'"
BEFORE_15 = "before PostgreSQL 15"


def expect(database: Database, reason: str) -> str:
    """Why all tables are looked at: on old servers for another reason, which comes first."""
    return reason if has_trustworthy_statistics(database) else BEFORE_15


def test_nobody_is_there(database: Database) -> None:
    run(database, *TABLES)
    baseline = taken(database)
    until_empty(database)
    run(database, "INSERT INTO t1 VALUES (2), (3)", "DELETE FROM t2", "TRUNCATE t3", "CREATE TABLE made ()")

    report = compared(database, baseline)

    assert rows(report) == {"public.t1": 2}
    assert (report.tables_checked, report.complete) == (6, True)
    if has_trustworthy_statistics(database):
        # t0 and t4
        assert (use(report).way, use(report).tables_untouched) == ("statistics", 2)
    else:
        assert (use(report).way, use(report).tables_untouched) == ("snapshot", 0)
        assert BEFORE_15 in use(report).detail


def test_only_marked_rows(database: Database) -> None:
    run(database, *(f"CREATE TABLE m{n} AS SELECT 'a@test.example.com'::text AS c" for n in range(3)))
    baseline = taken(database)
    until_empty(database)
    run(database, "INSERT INTO m1 VALUES ('b@test.example.com'), ('x')")

    report = compared(database, baseline, any_rows=False)

    assert rows(report) == {"public.m1": 1}
    assert report.tables_checked == 3
    assert use(report).rows_before == (1 if has_trustworthy_statistics(database) else 3)


def test_committed_and_idle_in_transaction(database: Database, connect: Connect) -> None:
    """The stale-statistics trap: what this session committed is published when its next one is over."""
    run(database, *TABLES)
    reason = expect(database, "is idle in transaction")
    baseline = taken(database)
    until_empty(database)
    session = connect()
    session.execute("INSERT INTO t1 VALUES (2)")
    # In one message, so that there is no moment between the transactions at which to publish it.
    session.execute("COMMIT; BEGIN; SELECT 1")

    report = compared(database, baseline)

    shown = written(session, "t1")
    assert shown == 0 or report.server_version.startswith("13"), "no trap was set"
    assert rows(report) == {"public.t1": 1}
    assert use(report).way == "snapshot"
    assert reason in use(report).detail


def written(session: Connection[TupleRow], table: str) -> int:
    """How many inserted rows the statistics of a table tell, to others."""
    with psycopg.connect(session.info.dsn, autocommit=True) as other:
        row = other.execute("SELECT pg_stat_get_tuples_inserted(%s::regclass)", [table]).fetchone()
    assert row is not None
    return int(row[0]) - 1  # of CREATE TABLE AS


def test_committed_and_idle_only_just(database: Database, connect: Connect) -> None:
    run(database, *TABLES)
    reason = expect(database, "has been idle for less than 11 s")
    baseline = taken(database)
    until_empty(database)
    session = connect(autocommit=True)
    for _ in range(5):
        session.execute("INSERT INTO t1 VALUES (2)")

    report = compared(database, baseline)

    assert rows(report) == {"public.t1": 5}
    assert reason in use(report).detail


def test_settling_waits_until_the_session_is_gone(database: Database, connect: Connect) -> None:
    if not has_trustworthy_statistics(database):
        pytest.skip("before PostgreSQL 15 no waiting helps: see test_nobody_is_there")
    run(database, *TABLES)
    baseline = taken(database)
    until_empty(database)
    session = connect()
    session.execute("INSERT INTO t1 VALUES (2)")
    session.execute("COMMIT; BEGIN; SELECT 1")
    waiting = RunningScan(settings(database.dsn), Since(baseline, any_rows=True, settle_s=30.0))
    with psycopg.connect(database.dsn, dbname="postgres", autocommit=True) as outside:
        wait_until(
            lambda: outside.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND application_name = 'pgwatch-tests'"
                " AND query LIKE '%%pg_stat_get_activity(NULL)%%' AND state = 'idle'",
                [database.name],
            ).fetchone(),
            message="the scan waits for the session",
        )
    session.close()

    report = waiting.result()

    assert rows(report) == {"public.t1": 1}
    assert (use(report).way, use(report).tables_untouched) == ("statistics", 4)


def test_settling_ends(database: Database, connect: Connect) -> None:
    run(database, *TABLES)
    baseline = taken(database)
    session = connect()
    session.execute("INSERT INTO t1 VALUES (2)")
    session.execute("COMMIT; BEGIN; SELECT 1")

    report = compared(database, baseline, settle_s=0.1)

    assert rows(report) == {"public.t1": 1}
    assert use(report).way == "snapshot"


def test_a_session_hidden_from_the_role(database: Database, connect: Connect, make_role: MakeRole) -> None:
    role = make_role()
    run(database, *TABLES, f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{role}"')
    reason = expect(database, "is hidden from this role")
    own = Database(database.name, database.dsn.replace("postgres@", f"{role}@"))
    baseline = taken(own)
    session = connect()
    session.execute("INSERT INTO t1 VALUES (2)")
    session.execute("COMMIT; BEGIN; SELECT 1")

    report = compared(own, baseline)

    assert rows(report) == {"public.t1": 1}
    assert reason in use(report).detail


def test_sessions_of_other_databases_dont_matter(database: Database, connect: Connect) -> None:
    run(database, *TABLES)
    baseline = taken(database)
    until_empty(database)
    connect(database="postgres").execute("SELECT 1")

    report = compared(database, baseline)

    assert (use(report).way == "statistics") == has_trustworthy_statistics(database)


def test_a_prepared_transaction_that_is_committed(database: Database) -> None:
    gid = unique_name()
    run(database, *TABLES, PREPARED.format(gid))
    baseline = taken(database)
    until_empty(database)

    before = compared(database, baseline)
    until_empty(database)
    run(database, f"COMMIT PREPARED '{gid}'")
    after = compared(database, baseline)

    assert rows(before) == {}
    assert rows(after) == {"public.t1": 1}


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("SELECT pg_stat_reset()", "the statistics were reset"),
        ("SELECT pg_stat_reset_single_table_counters('t1'::regclass)", "the statistics were reset"),
        ("SELECT pg_stat_reset_shared('bgwriter')", "the server lost its statistics"),
    ],
)
def test_statistics_that_were_reset(database: Database, statement: str, reason: str) -> None:
    run(database, "CREATE TABLE t1 (id int)", "INSERT INTO t1 VALUES (1)")
    baseline = taken(database)
    until_empty(database)
    # The counters are the same as before: one row was written since.
    run(database, statement, "INSERT INTO t1 VALUES (2)")

    report = compared(database, baseline)

    assert rows(report) == {"public.t1": 1}
    assert expect(database, reason) in use(report).detail


def test_track_counts_off_for_a_role(database: Database, make_role: MakeRole) -> None:
    role = make_role("SUPERUSER")
    run(database, *TABLES, f'ALTER ROLE "{role}" SET track_counts = off')
    reason = expect(database, "track_counts is, or was, off")
    baseline = taken(database)
    until_empty(database)
    run(Database(database.name, database.dsn.replace("postgres@", f"{role}@")), "INSERT INTO t1 VALUES (2)")

    report = compared(database, baseline)

    assert rows(report) == {"public.t1": 1}
    assert reason in use(report).detail


def test_a_new_partition_and_one_that_changed(database: Database) -> None:
    run(
        database,
        "CREATE TABLE root (k int) PARTITION BY LIST (k)",
        "CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1)",
        "CREATE TABLE other (k int) PARTITION BY LIST (k)",
        "CREATE TABLE other_leaf PARTITION OF other DEFAULT",
        "INSERT INTO root VALUES (1)",
        "INSERT INTO other VALUES (1)",
    )
    baseline = taken(database)
    until_empty(database)
    run(database, "CREATE TABLE late PARTITION OF root DEFAULT")
    run(database, "INSERT INTO root VALUES (7)")

    report = compared(database, baseline)

    assert rows(report) == {"public.root": 1}
    if has_trustworthy_statistics(database):
        assert use(report).tables_untouched == 1


@pytest.fixture
def own_server(programs: ServerPrograms) -> Iterator[EmbeddedServer]:
    """A server that this test may crash."""
    with EmbeddedServer(
        programs, server_directory(), {"autovacuum": "off", "synchronous_commit": "on"}
    ) as server:
        yield server


def test_a_crash_and_a_restart_in_between(own_server: EmbeddedServer) -> None:
    database = Database("postgres", own_server.dsn())
    with psycopg.connect(database.dsn, autocommit=True) as session:
        session.execute("CREATE TABLE t (id int)")
        session.execute("INSERT INTO t VALUES (1)")
    wait_until(lambda: written_so_far(database) == 1)
    baseline = taken(database)
    own_server.restart(fast=False)
    with psycopg.connect(database.dsn, autocommit=True) as session:
        session.execute("INSERT INTO t VALUES (2)")
    wait_until(lambda: written_so_far(database) == 1, message="the counter is what it was")

    with psycopg.connect(database.dsn) as session:
        session.execute("SELECT 1")
        crashed = compared(database, baseline, settle_s=60.0)
    again = taken(database)
    own_server.restart()
    restarted = compared(database, again)

    assert rows(crashed) == {"public.t": 1}
    assert use(crashed).way == "snapshot"
    assert crashed.duration_s < 30, "no wait helps against lost statistics"
    assert "as after a crash" in use(crashed).notes[0]
    assert use(restarted).notes == ()
    assert again.server.server_reset != baseline.server.server_reset
    assert use(restarted).way == "snapshot"
    assert (again.system_identifier, rows(restarted)) == (baseline.system_identifier, {})


def written_so_far(database: Database) -> int:
    with psycopg.connect(database.dsn, autocommit=True) as session:
        row = session.execute("SELECT pg_stat_get_tuples_inserted('t'::regclass)").fetchone()
    assert row is not None
    return int(row[0])


def test_written_anew_without_a_counter_that_moves(database: Database) -> None:
    run(database, *TABLES, "CREATE MATERIALIZED VIEW view AS SELECT id FROM t0")
    baseline = taken(database)
    until_empty(database)
    run(database, "ALTER TABLE t1 ALTER id TYPE bigint", "REFRESH MATERIALIZED VIEW view", "VACUUM (FULL) t2")

    report = compared(database, baseline)

    assert rows(report) == {"public.t1": 1, "public.view": 1}
    if has_trustworthy_statistics(database):
        # t0, t3, t4
        assert use(report).tables_untouched == 3
