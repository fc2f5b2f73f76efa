"""`sweep --since`: what the baseline saw stays, whatever it bears; with `--any`, what came since goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.attribution.own_transaction import clock_offset, database_now, written
from pgwatch_tests.leaks.attribution.transaction_log import TransactionLog
from pgwatch_tests.leaks.baseline.baseline import Baseline
from pgwatch_tests.leaks.baseline.baseline_reader import take
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.model import SEEN_BY_BASELINE, SweepProgress, SweepReport
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from tests.leaks.baseline.baselines import has_trustworthy_statistics, run
from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import deleted, ids, kept, make

TEST = "tests/test_users.py::test_signs_up"


def baseline_of(database: Database) -> Baseline:
    return take(Settings(Dsn(database.dsn, "the test")))


def swept(
    database: Database,
    baseline: Baseline | None,
    *,
    any_rows: bool = False,
    dry_run: bool = False,
    transactions: Path | None = None,
) -> SweepReport:
    settings = Settings(Dsn(database.dsn, "the test"), count_timeout_s=30.0, transactions=transactions)
    request = SweepRequest(("rows",), dry_run=dry_run, min_age_s=0.0, since=baseline, any_rows=any_rows)
    return Sweep(settings, request).run()


def there(database: Database, table: str) -> list[object]:
    """The ids of a table's rows."""
    with psycopg.connect(database.dsn) as connection:
        return ids(connection, table)


def test_what_was_there_stays_though_it_bears_a_marker(
    owner: Connection[TupleRow], database: Database
) -> None:
    make(
        owner,
        """
        CREATE TABLE users (id int PRIMARY KEY, email text);
        CREATE TABLE notes (id int PRIMARY KEY, "user" int REFERENCES users);
        INSERT INTO users VALUES (1, MARKED), (2, 'real');
        INSERT INTO notes VALUES (1, 1);
        """,
    )
    baseline = baseline_of(database)
    make(
        owner,
        """
        INSERT INTO users VALUES (3, MARKED), (4, MARKED), (5, 'real');
        INSERT INTO notes VALUES (2, 3), (3, 1);
        """,
    )

    dry = swept(database, baseline, dry_run=True)
    report = swept(database, baseline)

    assert dry.planned == report.deleted
    assert report.since == baseline.taken_at
    assert deleted(report) == {"users": (2, 0), "notes": (0, 1)}
    assert kept(report)["users", "shared_with_real_data"] == 1
    assert {one.detail for one in report.kept} == {SEEN_BY_BASELINE}
    assert (ids(owner, "users"), ids(owner, "notes")) == ([1, 2, 5], [1, 3])


def test_a_dependent_that_was_there_keeps_what_it_refers_to(
    owner: Connection[TupleRow], database: Database
) -> None:
    # No row of this table bears a marker.
    make(
        owner,
        """
        CREATE TABLE customers (id int PRIMARY KEY, email text);
        CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE,
            created_at timestamptz);
        INSERT INTO customers VALUES (1, 'real');
        INSERT INTO orders VALUES (1, 1, now()), (2, NULL, NULL);
        """,
    )
    baseline = baseline_of(database)
    make(owner, "INSERT INTO customers VALUES (2, MARKED), (3, MARKED)")
    # It is another version by then, but says that it was there.
    owner.execute("UPDATE orders SET customer = 2, created_at = created_at - interval '1 day' WHERE id = 1")

    report = swept(database, baseline)

    assert deleted(report) == {"customers": (1, 0)}
    assert (ids(owner, "customers"), ids(owner, "orders")) == ([1, 2], [1, 2])
    # Without the baseline it is taken along, though real, where nothing else says so.
    assert SEEN_BY_BASELINE in {one.detail for one in report.kept}


def test_a_row_that_is_changed_while_it_looks_isnt_taken_for_a_new_one(database: Database) -> None:
    run(
        database,
        "CREATE TABLE plans (id int PRIMARY KEY, name text)",
        "INSERT INTO plans VALUES (1, 'free'), (2, 'paid')",
    )
    baseline = baseline_of(database)
    run(database, "INSERT INTO plans VALUES (3, 'new')")

    def change(progress: SweepProgress) -> None:
        # Statistics may have been read by then that said that no row was updated.
        if progress.phase == "survey":
            with psycopg.connect(database.dsn) as connection:
                connection.execute("UPDATE plans SET name = 'gratis' WHERE id = 1")

    request = SweepRequest(("rows",), dry_run=False, min_age_s=0.0, since=baseline, any_rows=True)
    report = Sweep(Settings(Dsn(database.dsn, "the test")), request, change).run()

    # Whether the third goes depends on how soon the server tells of the change.
    assert there(database, "plans")[:2] == [1, 2]
    assert report.deleted_rows <= 1


def test_rows_without_a_marker_that_came_since_go_too(database: Database) -> None:
    run(
        database,
        "CREATE TABLE users (id int PRIMARY KEY, email text)",
        "CREATE TABLE counts (id int PRIMARY KEY, n int)",
        'CREATE TABLE notes (id int PRIMARY KEY, "user" int REFERENCES users, body text)',
        "INSERT INTO users VALUES (1, 'real')",
        "INSERT INTO counts VALUES (1, 1)",
    )
    baseline = baseline_of(database)
    run(
        database,
        "INSERT INTO users VALUES (2, 'unmarked'), (3, 'x-1717171717171-1a@test.example.com')",
        "INSERT INTO counts VALUES (2, 2)",
        "INSERT INTO notes VALUES (1, 1, 'of a real user'), (2, 2, 'x')",
    )

    plain = swept(database, baseline, dry_run=True)
    dry = swept(database, baseline, any_rows=True, dry_run=True)
    report = swept(database, baseline, any_rows=True)

    assert {one.table for one in plain.planned} == {"users"}
    assert dry.planned == report.deleted
    assert report.any_rows
    if not has_trustworthy_statistics(database):
        # Nothing tells new rows from changed ones there.
        assert kept(report)["counts", "age_unknown"] == 1
        return
    assert {one.table: one.total for one in report.deleted} == {"users": 2, "counts": 1, "notes": 2}
    assert (there(database, "users"), there(database, "counts"), there(database, "notes")) == ([1], [1], [])
    assert swept(database, baseline, any_rows=True).deleted == ()


def test_a_row_that_was_there_and_was_changed_isnt_taken_for_a_new_one(database: Database) -> None:
    run(
        database,
        "CREATE TABLE plans (id int PRIMARY KEY, name text)",
        "CREATE TABLE dated (id int PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT clock_timestamp())",
        "INSERT INTO plans VALUES (1, 'free'), (2, 'paid')",
        "INSERT INTO dated VALUES (1, now() - interval '1 day')",
    )
    baseline = baseline_of(database)
    run(
        database,
        "UPDATE plans SET name = 'gratis' WHERE id = 1",
        "INSERT INTO plans VALUES (3, 'new')",
        "UPDATE dated SET id = 9 WHERE id = 1",
        "INSERT INTO dated VALUES (2)",
    )

    report = swept(database, baseline, any_rows=True)

    assert deleted(report) == {"dated": (1, 0)}
    assert (there(database, "plans"), there(database, "dated")) == ([1, 2, 3], [9])
    assert kept(report)["plans", "age_unknown"] == 2


def test_a_table_that_was_written_anew_stays_as_it_is(
    owner: Connection[TupleRow], database: Database
) -> None:
    make(
        owner,
        """
        CREATE TABLE users (id int PRIMARY KEY, email text);
        INSERT INTO users VALUES (1, MARKED);
        """,
    )
    baseline = baseline_of(database)
    make(owner, "INSERT INTO users VALUES (2, MARKED); ALTER TABLE users ALTER id TYPE bigint")

    report = swept(database, baseline)

    assert report.deleted == ()
    assert ids(owner, "users") == [1, 2]
    assert {one.detail for one in report.kept} == {
        "public.users was rewritten since the baseline, so its old rows look new"
    }


def test_a_table_that_is_written_anew_before_it_is_read_stays_as_it_is(database: Database) -> None:
    run(
        database,
        "CREATE TABLE users (id int PRIMARY KEY, email text)",
        "INSERT INTO users VALUES (1, 'x-1717171717171-1a@test.example.com')",
    )
    baseline = baseline_of(database)

    def rewrite(progress: SweepProgress) -> None:
        if progress.phase == "survey":
            with psycopg.connect(database.dsn) as connection:
                connection.execute("ALTER TABLE users ALTER id TYPE bigint")

    request = SweepRequest(("rows",), dry_run=False, min_age_s=0.0, since=baseline)
    report = Sweep(Settings(Dsn(database.dsn, "the test")), request, rewrite).run()

    assert report.deleted == ()
    assert there(database, "users") == [1]
    assert {one.detail for one in report.kept} == {
        "public.users was rewritten since the baseline, so its old rows look new"
    }


def test_another_databases_baseline_is_refused(database: Database) -> None:
    baseline = baseline_of(database)
    elsewhere = replace(
        baseline, server=replace(baseline.server, oid=baseline.server.oid + 1, database="other")
    )

    with pytest.raises(ConfigurationError, match="the baseline is of the database 'other'"):
        swept(database, elsewhere)


def test_who_left_what_came_since_is_told_by_the_log_of_transactions(
    database: Database, tmp_path: Path
) -> None:
    run(
        database,
        "CREATE TABLE users (id int PRIMARY KEY, email text)",
        "CREATE TABLE dated (id int PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT clock_timestamp())",
        "INSERT INTO users VALUES (1, 'real')",
    )
    baseline = baseline_of(database)
    with psycopg.connect(database.dsn) as connection:
        identity = database_now(connection).identity
        with TransactionLog(tmp_path, identity, "gw0", clock_offset(connection)) as log:
            connection.rollback()
            number = log.began(TEST)
            connection.execute("INSERT INTO dated VALUES (1), (2)")
            transaction = written(connection)
            assert transaction is not None
            log.wrote(number, transaction)
            connection.commit()
            log.ended(number, "passed")
    run(database, "INSERT INTO dated VALUES (3)")

    dry = swept(database, baseline, any_rows=True, dry_run=True, transactions=tmp_path)
    report = swept(database, baseline, any_rows=True, transactions=tmp_path)

    assert deleted(report) == {"dated": (3, 0)}
    assert dry.left_by == report.left_by
    by_log, unknown = report.left_by
    assert (by_log.test, by_log.confidence, by_log.tables) == (TEST, "transaction", (("public.dated", 2),))
    assert unknown.rows == 1
    assert unknown.confidence in ("1 of N", "unknown")  # by the clock, the test may have run just then
    assert swept(database, baseline, any_rows=True, dry_run=True).left_by == ()
