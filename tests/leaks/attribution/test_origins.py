"""Whose leaked rows are, as a scan says it, on a real server."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.identity.value_tokens import token
from pgwatch_tests.leaks.attribution.ladder import CHANGED
from pgwatch_tests.leaks.attribution.origins import MOST_ROWS
from pgwatch_tests.leaks.attribution.own_transaction import clock_offset, database_now, written
from pgwatch_tests.leaks.attribution.test_runs import DatabaseIdentity
from pgwatch_tests.leaks.attribution.transaction_log import TransactionLog
from pgwatch_tests.leaks.baseline.baseline_reader import take
from pgwatch_tests.leaks.baseline.comparison import Since
from pgwatch_tests.leaks.model import Attribution
from pgwatch_tests.leaks.scan import LeakScan, scan
from pgwatch_tests.reports.leaks import leak_table
from pgwatch_tests.settings.load import DEFAULT_MARKERS
from tests.leaks.attribution.conftest import NAME, Leave
from tests.leaks.attribution.leaking_suite import email
from tests.leaks.baseline.baselines import taken
from tests.leaks.scanning import RunningScan, insert, settings
from tests.servers.sessions import Connect, Database, MakeRole
from tests.waiting import PATIENCE_S, wait_until


def whose(dsn: str, logs: Path | None, tests: Path | None = None) -> dict[str, tuple[Attribution, ...]]:
    """The attribution of each leaking table."""
    report = scan(replace(settings(dsn), transactions=logs, tests=tests))
    for leak in report.tables:
        assert sum(one.rows for one in leak.attribution) == (leak.rows if logs or tests else 0)
    return {leak.table: leak.attribution for leak in report.tables}


def adding(table: str, *emails: str) -> str:
    """A statement that inserts these."""
    values = [sql.SQL("({})").format(email) for email in emails]
    insert = sql.SQL("INSERT INTO {} (email) VALUES {}")
    return insert.format(sql.Identifier(table), sql.SQL(", ").join(values)).as_string(None)


def by_transaction(rows: int) -> tuple[Attribution, ...]:
    return (Attribution(NAME, "transaction", rows),)


def test_nobody_is_named_unless_asked(database: Database, owner: Connection[TupleRow], leave: Leave) -> None:
    owner.execute("CREATE TABLE users (email text)")
    leave(adding("users", email(token(NAME))))

    assert whose(database.dsn, None) == {"users": ()}


def test_the_logs_of_the_last_run_here_are_found(
    database: Database,
    owner: Connection[TupleRow],
    leave: Leave,
    logs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner.execute("CREATE TABLE users (email text)")
    leave(adding("users", email()))
    monkeypatch.chdir(tmp_path)
    for shard in (".", "2of3"):
        kept = tmp_path / "pgwatch-results" / shard / "logs"
        kept.parent.mkdir(parents=True, exist_ok=True)
        logs.rename(kept)
        [leak] = scan(settings(database.dsn)).tables
        assert leak.attribution == by_transaction(1)
        kept.rename(logs)

    # Those of another database say nothing, not even that nobody is known.
    of_another = DatabaseIdentity("1", 2, "d")
    with TransactionLog(tmp_path / "pgwatch-results" / "logs", of_another, "gw0") as log:
        log.ended(log.began(NAME), "passed")
    [leak] = scan(settings(database.dsn)).tables
    assert leak.attribution == ()


@pytest.mark.parametrize("type_", ["text", "varchar(80)", "char(80)"])
def test_rows_of_several_tables(
    database: Database, owner: Connection[TupleRow], leave: Leave, logs: Path, type_: str
) -> None:
    note = "'a 1717171717171-t1a2b3c4d-x'"
    for name in ("users", '"we ird%s"'):
        owner.execute(f"CREATE TABLE {name} (email {type_}, note {type_} DEFAULT {note})".encode())
    leave(adding("users", email(), email(), email()), adding("we ird%s", email(token(NAME))))

    # A hash in a value that bears no marker isn't looked at.
    assert whose(database.dsn, logs) == {
        "users": by_transaction(3),
        "we ird%s": (Attribution(NAME, "marker", 1),),
    }


def test_an_update_that_sets_created_at_is_no_insert(
    database: Database, owner: Connection[TupleRow], connect: Connect, logs: Path
) -> None:
    owner.execute("CREATE TABLE users (email text, created_at timestamptz DEFAULT now())")
    owner.execute("INSERT INTO users VALUES ('old@test.example.com', '2026-01-01')")
    connection = connect()
    with TransactionLog(logs, database_now(connection).identity, "gw0", clock_offset(connection)) as log:
        connection.rollback()
        # The server still counts the insert in the transaction that follows it within a second.
        for test, statement in (
            ("t.py::test_inserts", "INSERT INTO users VALUES ('x')"),
            (NAME, "UPDATE users SET created_at = now() WHERE email LIKE 'old%'"),
        ):
            number = log.began(test)
            connection.execute(statement.encode())
            transaction = written(connection)
            assert transaction is not None
            assert transaction.inserted
            log.wrote(number, transaction)
            connection.commit()
            log.ended(number, "passed")

    (found,) = whose(database.dsn, logs)["users"]

    assert found.confidence != "transaction"
    assert found.test == ""


def test_of_any_new_row_markers_tell_test_and_age_and_who_changed_an_old_one_is_told(
    database: Database, owner: Connection[TupleRow], leave: Leave, logs: Path
) -> None:
    owner.execute("CREATE TABLE users (id int PRIMARY KEY, email text, visits int, created_at timestamptz)")
    owner.execute("CREATE TABLE counters (n int)")
    owner.execute("INSERT INTO users VALUES (1, 'root', 0, '2026-01-01Z'), (2, 'other', 0, '2026-01-01Z')")
    owner.execute("INSERT INTO counters VALUES (1)")
    baseline = taken(database)
    marked = f"u-{time.time_ns() // 1_000_000}-{token(NAME)}-x@test.example.com"
    insert_it = sql.SQL("INSERT INTO users VALUES (3, {}, 0, now())").format(marked)
    leave(insert_it.as_string(None), test="t.py::other")
    leave("UPDATE users SET visits = 1 WHERE id = 1", test="t.py::test_changes")
    owner.execute("UPDATE users SET visits = 1 WHERE id = 2")
    owner.execute("UPDATE counters SET n = 2")

    since = Since(baseline, any_rows=True)
    listed = logs.parent / "tests"
    listed.write_text(f"{NAME}\n", encoding="utf-8")
    report = scan(replace(settings(database.dsn), transactions=logs, tests=listed), since=since)

    found = {leak.table: leak for leak in report.tables}
    users = found["users"]
    assert (users.rows, users.marked, users.changed, users.columns) == (3, 1, 2, ("email",))
    assert users.oldest == datetime(2026, 1, 1, tzinfo=UTC)
    assert users.newest is not None
    assert users.newest > baseline.taken_at - timedelta(seconds=2)
    assert users.attribution == (
        Attribution(NAME, "marker", 1),
        Attribution("t.py::test_changes", "transaction", 1, (), CHANGED),
        Attribution("", "unknown", 1, (), f"{CHANGED}, by no logged transaction"),
    )
    assert (found["counters"].marked, found["counters"].changed, found["counters"].columns) == (0, 0, ())
    assert "3 (2 changed)" in leak_table.table(report)


def test_a_new_row_with_a_fixed_old_stamp_is_not_called_changed(
    database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute("CREATE TABLE users (email text, created_at timestamptz)")
    baseline = taken(database)
    owner.execute("INSERT INTO users VALUES ('user_1718000000000_x7f3', now())")

    (users,) = scan(settings(database.dsn), since=Since(baseline, any_rows=True)).tables

    assert (users.rows, users.marked, users.changed) == (1, 1, 0)


def test_created_at_that_is_the_transactions_own_time(
    database: Database, owner: Connection[TupleRow], leave: Leave, logs: Path
) -> None:
    owner.execute("CREATE TABLE users (email text, created_at timestamptz DEFAULT now())")
    owner.execute("CREATE TABLE zoneless (email text, created_at timestamp DEFAULT now())")
    owner.execute("INSERT INTO users VALUES ('old@test.example.com', '-infinity'), ('x', '294000-01-01')")
    owner.execute("INSERT INTO zoneless VALUES ('old@test.example.com', 'infinity')")
    update = "UPDATE users SET email = lower(email) WHERE email LIKE 'old%'"
    for table in ("users", "zoneless"):
        leave(
            adding(table, "new@test.example.com"),
            update.replace("users", table),
        )

    found = whose(database.dsn, logs)

    assert [(one.test, one.confidence, one.rows) for one in found["users"]] == [
        ("", "1 of N", 1),
        ("", "unknown", 1),
    ]
    # Without a time zone it is no point in time.
    assert [(one.confidence, one.rows) for one in found["zoneless"]] == [("unknown", 2)]


def test_what_was_rewritten_or_moved_isnt_taken_for_inserted(
    database: Database, owner: Connection[TupleRow], leave: Leave, logs: Path
) -> None:
    owner.execute("CREATE TABLE rewritten (email varchar(80), n int DEFAULT 1)")
    owner.execute("CREATE TABLE moved (email text, n int DEFAULT 1) PARTITION BY LIST (n)")
    owner.execute("CREATE TABLE moved_1 PARTITION OF moved FOR VALUES IN (1)")
    owner.execute("CREATE TABLE moved_2 PARTITION OF moved FOR VALUES IN (2)")
    owner.execute("CREATE TABLE partitioned (email text, n int DEFAULT 1) PARTITION BY LIST (n)")
    owner.execute("CREATE TABLE leaf PARTITION OF partitioned DEFAULT")
    for table in ("rewritten", "moved"):
        owner.execute(adding(table, "a@test.example.com").encode())
    leave(
        "ALTER TABLE rewritten ALTER n TYPE bigint",
        "INSERT INTO rewritten VALUES ('b@test.example.com', 2)",
        "UPDATE moved SET n = 2",
        "INSERT INTO partitioned VALUES ('b@test.example.com', 2)",
    )

    found = whose(database.dsn, logs)

    assert found["partitioned"] == by_transaction(1)
    assert [(one.confidence, one.rows) for one in found["rewritten"]] == [("unknown", 2)]
    assert [(one.confidence, one.rows) for one in found["moved"]] == [("unknown", 1)]


def test_who_refreshes_a_view_doesnt_leave_what_is_in_it(
    database: Database, owner: Connection[TupleRow], leave: Leave, logs: Path
) -> None:
    owner.execute("CREATE TABLE users (email text)")
    owner.execute("CREATE MATERIALIZED VIEW seen AS SELECT * FROM users")
    owner.execute("CREATE UNIQUE INDEX ON seen (email)")
    owner.execute("INSERT INTO users VALUES ('a@test.example.com')")
    leave("REFRESH MATERIALIZED VIEW CONCURRENTLY seen")

    assert all(one.test == "" for some in whose(database.dsn, logs).values() for one in some)


def test_rows_beyond_the_limit_are_said_not_to_be_looked_at(
    database: Database, owner: Connection[TupleRow], leave: Leave, logs: Path
) -> None:
    owner.execute("CREATE TABLE users (email text)")
    leave(adding("users", *(f"{number}@test.example.com" for number in range(MOST_ROWS + 7))))

    assert whose(database.dsn, logs)["users"] == (
        Attribution(NAME, "transaction", MOST_ROWS),
        Attribution("", "unknown", 7, (), f"not examined: the limit is {MOST_ROWS:,} rows per table"),
    )


def test_who_may_read_a_column_only_learns_the_markers(
    server: EmbeddedServer,
    database: Database,
    owner: Connection[TupleRow],
    make_role: MakeRole,
    leave: Leave,
    logs: Path,
) -> None:
    role = make_role()
    owner.execute("CREATE TABLE part (email text, secret int)")
    owner.execute("CREATE TABLE whole (email text)")
    for statement in ("(email) ON part", "ON whole"):
        owner.execute(f'GRANT SELECT {statement} TO "{role}"'.encode())
    leave(adding("part", email(token(NAME)), "a@test.example.com"), adding("whole", "a@test.example.com"))

    found = whose(server.dsn(database.name, role), logs)

    assert found["whole"] == by_transaction(1)
    assert [(one.test, one.confidence, one.rows) for one in found["part"]] == [
        (NAME, "marker", 1),
        ("", "unknown", 1),
    ]


def test_a_copy_of_the_database_has_the_same_ids_and_is_another(
    server: EmbeddedServer,
    database: Database,
    owner: Connection[TupleRow],
    connect: Connect,
    leave: Leave,
    logs: Path,
) -> None:
    owner.execute("CREATE TABLE users (email text)")
    leave(adding("users", "a@test.example.com"))
    owner.close()
    elsewhere, copy = connect(database="postgres", autocommit=True), f"{database.name}_copy"
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    wait_until(lambda: elsewhere.execute(others, [database.name]).fetchall() == [(0,)])
    elsewhere.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{database.name}"'.encode())
    try:
        (one,) = whose(server.dsn(copy), logs)["users"]
    finally:
        elsewhere.execute(f'DROP DATABASE "{copy}"'.encode())

    assert whose(database.dsn, logs)["users"] == by_transaction(1)
    assert (one.test, one.confidence) == ("", "unknown")


def test_hashes_of_listed_tests_and_of_sessions_seen(
    database: Database, owner: Connection[TupleRow], connect: Connect, tmp_path: Path
) -> None:
    listed = tmp_path / "tests.txt"
    listed.write_text(f"\n  {NAME}\n\n2 tests collected in 0.1s\n")
    connect(application_name=compose("pytest", "gw1", "tests/test_b.py::test_seen"))
    owner.execute("CREATE TABLE users (email text)")
    insert(owner, "users", email(token(NAME)), email(token("tests/test_b.py::test_seen")), email("t00000000"))

    assert whose(database.dsn, None, listed)["users"] == (
        Attribution("tests/test_b.py::test_seen", "marker", 1),
        Attribution(NAME, "marker", 1),
        Attribution("", "unknown", 1, (), "#00000000: a hash of no known test"),
    )


def test_a_table_that_is_locked_after_it_was_counted(
    database: Database, owner: Connection[TupleRow], connect: Connect, leave: Leave, logs: Path
) -> None:
    for name in ("users", "others"):
        owner.execute(f"CREATE TABLE {name} (email text)".encode())
        leave(adding(name, "a@test.example.com"))
    locking = connect()

    def lock(done: int, total: int) -> None:
        if done == total:
            locking.execute("LOCK TABLE users")

    chosen = replace(settings(database.dsn), transactions=logs)
    report = LeakScan(chosen, lock).run()

    found = {leak.table: leak.attribution for leak in report.tables}
    assert found["others"] == by_transaction(1)
    (unseen,) = found["users"]
    assert (unseen.confidence, unseen.rows) == ("unknown", 1)
    assert unseen.detail.startswith("not examined: canceling statement due to lock timeout")


def test_rows_that_go_meanwhile(
    database: Database, owner: Connection[TupleRow], leave: Leave, logs: Path
) -> None:
    owner.execute("CREATE TABLE users (email text)")
    leave("INSERT INTO users VALUES ('a@test.example.com'), ('b@test.example.com')")

    def delete(done: int, total: int) -> None:
        if done == total:
            owner.execute("DELETE FROM users WHERE email LIKE 'a%'")

    report = LeakScan(replace(settings(database.dsn), transactions=logs), delete).run()

    assert report.tables[0].attribution == (
        *by_transaction(1),
        Attribution("", "unknown", 1, (), "deleted or changed after they were counted"),
    )


def test_many_tables_take_few_statements(
    database: Database, owner: Connection[TupleRow], leave: Leave, logs: Path
) -> None:
    tables = 400
    for number in range(tables):
        owner.execute(f"CREATE TABLE t{number} (email text)".encode())
    leave(*(adding(f"t{number}", "a@test.example.com") for number in range(tables)))
    begun = time.monotonic()
    without = scan(settings(database.dsn, DEFAULT_MARKERS))
    middle = time.monotonic()

    found = RunningScan(replace(settings(database.dsn), transactions=logs)).result(PATIENCE_S)

    print(f"{tables} tables: {middle - begun:.3f} s without, {time.monotonic() - middle:.3f} s with")
    assert without.total == found.total == tables
    assert {leak.attribution for leak in found.tables} == {by_transaction(1)}


def test_rows_without_a_marker_that_are_new_since_a_baseline(
    database: Database, owner: Connection[TupleRow], leave: Leave, logs: Path
) -> None:
    owner.execute("CREATE TABLE notes (id int PRIMARY KEY, note text)")
    owner.execute("INSERT INTO notes VALUES (1, 'old')")
    since = Since(take(settings(database.dsn)), any_rows=True)
    leave("INSERT INTO notes VALUES (2, 'unmarked'), (3, 'unmarked')")
    owner.execute("INSERT INTO notes VALUES (4, 'not logged')")

    [leak] = scan(replace(settings(database.dsn), transactions=logs), since=since).tables

    named = {one.test: one.rows for one in leak.attribution if one.confidence == "transaction"}
    assert (leak.rows, named) == (3, {NAME: 2})
    assert sum(one.rows for one in leak.attribution) == 3
