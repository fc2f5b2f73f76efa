"""Tables that are locked, slow, broken, or change while they are checked."""

from __future__ import annotations

import pytest
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from pgwatch_tests.errors import NotCheckedError
from pgwatch_tests.leaks.scan import scan
from tests.leaks.scanning import (
    RunningScan,
    insert,
    make_slow_table,
    make_string_type,
    only_skipped,
    reasons,
    rows,
    scanned,
    settings,
)
from tests.servers.sessions import Connect, Database, blocked
from tests.waiting import wait_until


def make_tables(owner: Connection[TupleRow], number: int) -> set[str]:
    """Tables with a leaked row each."""
    names = [f"t{i}" for i in range(number)]
    for name in names:
        owner.execute(f"CREATE TABLE {name} AS SELECT 'a@test.example.com'::text AS c".encode())
    return {f"public.{name}" for name in names}


def test_a_locked_table_is_skipped_and_its_neighbours_are_counted(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    names = make_tables(owner, 12)
    connect().execute("LOCK TABLE t5, t6 IN ACCESS EXCLUSIVE MODE")

    report = scanned(database.dsn)

    assert set(rows(report)) == names - {"public.t5", "public.t6"}
    assert reasons(report) == {"public.t5": "locked", "public.t6": "locked"}
    assert "pgwatch-tests locks" in report.skipped[0].hint


def test_every_table_locked_takes_no_timeout_for_each(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    names = make_tables(owner, 60)
    locker = connect()
    for name in names:
        locker.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE".encode())

    report = scan(settings(database.dsn, lock_timeout_s=0.5))

    assert reasons(report) == dict.fromkeys(names, "locked")
    assert report.duration_s < 15  # 60 timeouts would be 30


def test_locks_that_readers_dont_mind(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make_tables(owner, 1)
    connect().execute("LOCK TABLE t0 IN EXCLUSIVE MODE")

    assert rows(scanned(database.dsn)) == {"public.t0": 1}


def test_a_locked_partition_and_a_locked_index(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make_tables(owner, 3)
    owner.execute("CREATE TABLE root (c text) PARTITION BY LIST (c)")
    owner.execute("CREATE TABLE mid PARTITION OF root DEFAULT PARTITION BY LIST (c)")
    owner.execute("CREATE TABLE leaf PARTITION OF mid DEFAULT")
    owner.execute("CREATE INDEX t0_c ON t0 (c)")
    connect().execute("LOCK TABLE leaf IN ACCESS EXCLUSIVE MODE")
    connect().execute("REINDEX INDEX t0_c")

    report = scanned(database.dsn)

    assert set(rows(report)) == {"public.t1", "public.t2"}
    assert reasons(report) == {"public.root": "locked", "public.t0": "locked"}


def test_queued_behind_somebody_who_wants_it_all(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make_tables(owner, 3)
    connect().execute("LOCK TABLE t1 IN ACCESS SHARE MODE")
    blocked(connect(), "TRUNCATE t1")

    report = scanned(database.dsn)

    assert set(rows(report)) == {"public.t0", "public.t2"}
    assert reasons(report) == {"public.t1": "locked"}


def test_a_lock_that_is_gone_in_the_end(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    names = make_tables(owner, 8)
    locker = connect()
    locker.execute("LOCK TABLE t3 IN ACCESS EXCLUSIVE MODE")

    def release(done: int, _: int) -> None:
        if done == 7:
            locker.rollback()

    report = scanned(database.dsn, progress=release)

    assert set(rows(report)) == names
    assert report.complete


def test_a_scan_takes_no_lock_that_anybody_minds(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make_tables(owner, 3)
    watcher = connect(autocommit=True)
    blocker = connect()
    blocker.execute("LOCK TABLE t2 IN ACCESS EXCLUSIVE MODE")

    # While it waits for t2, it holds what it asked for before.
    running = RunningScan(settings(database.dsn, lock_timeout_s=10))
    query = (
        "SELECT array_agg(DISTINCT mode) FROM pg_locks WHERE locktype = 'relation' AND pid ="
        " (SELECT pid FROM pg_locks WHERE relation = 't2'::regclass AND NOT granted)"
    )
    (modes,) = wait_until(lambda: [mode for (mode,) in watcher.execute(query) if mode])
    blocker.rollback()

    assert running.result().total == 3
    assert modes == ["AccessShareLock"]


def test_a_scan_of_a_serializable_database_is_nobodys_conflict(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    owner.execute(
        sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = 'serializable'").format(
            sql.Identifier(database.name)
        )
    )
    make_slow_table(owner, "slow")
    owner.execute("CREATE TABLE written (i int)")
    # Without a writer, a reader has nothing to conflict with.
    connect().execute("INSERT INTO written VALUES (1)")
    running = RunningScan(settings(database.dsn))
    query = "SELECT array_agg(DISTINCT mode) FROM pg_locks WHERE relation = 'slow'::regclass"

    (modes,) = wait_until(lambda: [mode for (mode,) in owner.execute(query) if mode])
    running.scan.cancel()

    assert modes == ["AccessShareLock"]


def test_a_partition_whose_detaching_was_cut_off_is_read_by_itself(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    if owner.info.server_version < 140000:
        pytest.skip("DETACH CONCURRENTLY came with 14")
    owner.execute("CREATE TABLE root (c text) PARTITION BY LIST (c)")
    owner.execute("CREATE TABLE other PARTITION OF root FOR VALUES IN ('b@test.example.com')")
    owner.execute("CREATE TABLE leaf PARTITION OF root FOR VALUES IN ('a@test.example.com')")
    insert(owner, "root", "a@test.example.com", "b@test.example.com")
    reader = connect()
    reader.execute("TABLE root")
    detaching = blocked(connect(autocommit=True), "ALTER TABLE root DETACH PARTITION leaf CONCURRENTLY")
    owner.execute("SELECT pg_cancel_backend(%s)", [detaching.pid])
    with pytest.raises(errors.QueryCanceled):
        detaching.result()
    reader.rollback()

    assert rows(scanned(database.dsn)) == {"public.root": 1, "public.leaf": 1}


def test_a_table_that_is_dropped_meanwhile_is_simply_gone(
    owner: Connection[TupleRow], database: Database
) -> None:
    names = make_tables(owner, 10)
    owner.execute("CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 'a@test.example.com' AS c")

    def drop(done: int, _: int) -> None:
        if done == 0:
            owner.execute("DROP TABLE t4; DROP SCHEMA s CASCADE")

    report = scanned(database.dsn, progress=drop)

    assert set(rows(report)) == names - {"public.t4"}
    assert (report.skipped, report.tables_checked) == ((), 9)


def test_a_table_that_is_renamed_or_altered_meanwhile_is_not_forgotten(
    owner: Connection[TupleRow], database: Database
) -> None:
    make_tables(owner, 6)

    def alter(done: int, _: int) -> None:
        if done == 0:
            owner.execute("ALTER TABLE t1 RENAME TO renamed; ALTER TABLE t2 RENAME c TO d; CREATE SCHEMA s")
            owner.execute("ALTER TABLE t3 SET SCHEMA s")

    report = scanned(database.dsn, progress=alter)

    assert set(rows(report)) == {f"public.{name}" for name in ("t0", "renamed", "t2", "t4", "t5")} | {"s.t3"}
    assert report.complete


def test_a_table_that_is_changed_each_time_it_is_counted_isnt_checked(
    owner: Connection[TupleRow], database: Database
) -> None:
    make_tables(owner, 2)

    def alter(done: int, total: int) -> None:
        if done < total:
            owner.execute("ALTER TABLE t1 RENAME c TO d; ALTER TABLE t1 RENAME d TO c")

    report = scanned(database.dsn, progress=alter)

    assert set(rows(report)) == {"public.t0"}
    assert reasons(report) == {"public.t1": "changed during every attempt to check it"}


def test_a_table_that_takes_too_long(owner: Connection[TupleRow], database: Database) -> None:
    make_tables(owner, 3)
    make_slow_table(owner, "slow")

    report = scan(settings(database.dsn, count_timeout_s=0.5))

    assert len(report.tables) == 3
    assert only_skipped(report).table == "slow"
    assert only_skipped(report).reason == "timed out after 0.5 s"
    assert "PGWATCH_COUNT_TIMEOUT" in only_skipped(report).hint


def test_rows_that_cant_be_read(owner: Connection[TupleRow], database: Database) -> None:
    make_tables(owner, 5)
    make_string_type(owner, "BEGIN RAISE 'out of luck'; END")
    owner.execute("CREATE TABLE broken (c label)")
    insert(owner, "broken", "x")

    report = scanned(database.dsn)

    assert report.total == report.tables_checked == 5
    assert reasons(report) == {"public.broken": "can't be read: out of luck"}


def test_the_count_stands_without_details(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make_tables(owner, 2)
    locker = connect()

    def lock(done: int, total: int) -> None:
        if done == total:
            locker.execute("LOCK TABLE t1 IN ACCESS EXCLUSIVE MODE")

    report = scanned(database.dsn, progress=lock)

    assert rows(report) == {"public.t0": 1, "public.t1": 1}
    assert {leak.table: leak.columns for leak in report.tables} == {"t0": ("c",), "t1": ()}
    assert report.complete


def test_locked_catalogs(owner: Connection[TupleRow], database: Database, connect: Connect) -> None:
    make_tables(owner, 1)
    owner.execute("CREATE TABLE tree (c text) PARTITION BY LIST (c)")
    connect().execute("LOCK TABLE pg_catalog.pg_inherits IN ACCESS EXCLUSIVE MODE")

    with pytest.raises(NotCheckedError, match="nothing was checked: the catalogs can't be read: "):
        scanned(database.dsn)


def test_more_tables_than_one_statement_reads(owner: Connection[TupleRow], database: Database) -> None:
    owner.execute(
        "DO $$ BEGIN FOR i IN 1..230 LOOP EXECUTE format('CREATE TABLE many%s (c text, d text)', i);"
        " END LOOP; END $$"
    )
    owner.execute("INSERT INTO many7 VALUES ('a@test.example.com', ''); INSERT INTO many229 TABLE many7")

    report = scanned(database.dsn)

    assert rows(report) == {"public.many7": 1, "public.many229": 1}
    assert report.tables_checked == 230
