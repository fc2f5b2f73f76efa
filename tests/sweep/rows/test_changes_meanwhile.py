"""Tables, keys, columns and triggers that somebody makes between two batches of a sweep, or beside one."""

from __future__ import annotations

from dataclasses import replace
from typing import LiteralString

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.request import SweepRequest
from tests.servers.sessions import Connect, Database, blocked
from tests.sweep.rows.bookings import REQUEST, PausingProgress, RunningSweep, now_ms, settings
from tests.sweep.rows.gates import Gate
from tests.sweep.rows.row_sweeps import OLD_MS, ids, mail

ROWS = 60
SMALL_BATCHES = replace(REQUEST, clusters_at_once=1)


@pytest.fixture
def users(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """So many users that tests left."""
    owner.execute("CREATE TABLE users (id int PRIMARY KEY, m text)")
    owner.execute(
        "INSERT INTO users SELECT i, 'user_' || %s || '_x' || i FROM generate_series(1, %s) i",
        [str(OLD_MS), ROWS],
    )
    return owner


def swept_while(
    database: Database,
    owner: Connection[TupleRow],
    change: str,
    parameters: tuple[object, ...] = (),
    request: SweepRequest = SMALL_BATCHES,
) -> SweepReport:
    """The report of a sweep; the change is made once a few rows are gone."""
    pausing = PausingProgress()
    sweep = RunningSweep(settings(database.dsn), request, pausing)
    pausing.wait()
    # Parameters only in the last statement.
    *first, last = change.split(";")
    with owner.transaction():
        for statement in first:
            owner.execute(statement.encode())
        owner.execute(last.encode(), parameters)
    pausing.release()
    return sweep.result()


def live(action: str) -> str:
    """The statements by which a running test makes rows that refer to user 50: a young one and a real one."""
    made = f"CREATE TABLE live (id int, uid int REFERENCES users ON DELETE {action}, m text)"
    young = mail(stamp_ms=now_ms())
    return f"{made}; INSERT INTO live VALUES (1, 50, '{young}'), (2, 50, 'real')"  # noqa: S608


def is_true(report: SweepReport, owner: Connection[TupleRow], table: str, before: int) -> bool:
    """Whether the report says how many rows went from a table, its partitions included."""
    left = len(ids(owner, table))
    said = sum(one.total for one in report.deleted if one.table.startswith(table))
    return said == before - left


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT", "NO ACTION", "RESTRICT"])
def test_a_new_key_by_which_a_running_test_refers(
    users: Connection[TupleRow], database: Database, action: LiteralString
) -> None:
    report = swept_while(
        database,
        users,
        live(action),
    )

    assert users.execute("SELECT id, uid FROM live ORDER BY id").fetchall() == [(1, 50), (2, 50)]
    assert 50 in ids(users, "users")
    assert len(ids(users, "users")) == 1
    assert is_true(report, users, "users", ROWS)
    assert not report.error


def test_a_new_key_of_test_data(users: Connection[TupleRow], database: Database) -> None:
    """Old rows that came with it go, or stay with what they refer to."""
    report = swept_while(
        database,
        users,
        "CREATE TABLE orders (id int, uid int REFERENCES users, m text);"
        "INSERT INTO orders VALUES (1, 50, %s), (2, 51, %s)",
        (mail(), mail()),
    )

    assert is_true(report, users, "users", ROWS)
    assert is_true(report, users, "orders", 2)
    assert len(ids(users, "users")) == len(ids(users, "orders"))
    assert not report.error


def test_a_new_key_of_a_table_that_was_there(users: Connection[TupleRow], database: Database) -> None:
    users.execute("CREATE TABLE notes (id int, uid int, m text)")
    users.execute("INSERT INTO notes VALUES (1, 50, 'real'), (2, NULL, %s)", [mail(stamp_ms=now_ms())])

    report = swept_while(
        database, users, "ALTER TABLE notes ADD FOREIGN KEY (uid) REFERENCES users ON DELETE CASCADE"
    )

    # What is real can be told there: beside a marked row, the other one is real, but it goes by CASCADE.
    assert is_true(report, users, "notes", 2)
    assert is_true(report, users, "users", ROWS)
    assert 2 in ids(users, "notes")
    assert not report.error


def test_a_new_partition(owner: Connection[TupleRow], database: Database) -> None:
    owner.execute("CREATE TABLE par (id int PRIMARY KEY, m text)")
    owner.execute("CREATE TABLE ch (id int, pid int REFERENCES par, k int) PARTITION BY LIST (k)")
    owner.execute("CREATE TABLE ch1 PARTITION OF ch FOR VALUES IN (1)")
    owner.execute(
        "INSERT INTO par SELECT i, 'p_' || %s || '_x' || i FROM generate_series(1, %s) i", [str(OLD_MS), ROWS]
    )

    report = swept_while(
        database,
        owner,
        "CREATE TABLE ch2 PARTITION OF ch FOR VALUES IN (2);INSERT INTO ch VALUES (1, 60, 2)",
    )

    assert len(ids(owner, "par")) == len(ids(owner, "ch"))
    assert is_true(report, owner, "par", ROWS)
    assert is_true(report, owner, "ch", 1)
    assert not report.error


def test_a_new_partition_of_what_is_swept(owner: Connection[TupleRow], database: Database) -> None:
    owner.execute("CREATE TABLE logs (id int, m text) PARTITION BY RANGE (id)")
    owner.execute("CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (1000)")
    owner.execute(
        "INSERT INTO logs SELECT i, 'p_' || %s || '_x' || i FROM generate_series(1, %s) i",
        [str(OLD_MS), ROWS],
    )

    report = swept_while(
        database,
        owner,
        "CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM (1000) TO (2000);"
        "INSERT INTO logs VALUES (1001, %s), (1002, 'real')",
        (mail(stamp_ms=now_ms()),),
    )

    assert {1001, 1002} <= set(ids(owner, "logs"))
    assert is_true(report, owner, "logs", ROWS + 2)
    assert not report.error


CHANGES: dict[str, str] = {
    "a column": "ALTER TABLE users ADD note text DEFAULT 'x'",
    "a column less": "ALTER TABLE users DROP COLUMN m",
    "a column of another type": "ALTER TABLE users ALTER COLUMN m TYPE varchar(200)",
    "rewritten": "ALTER TABLE users ADD at float DEFAULT random()",
    "emptied": "TRUNCATE users",
    "gone": "DROP TABLE users",
    "gone, and another one there": "DROP TABLE users;CREATE TABLE users (id int, m text);"
    "INSERT INTO users SELECT i, 'real' FROM generate_series(1, 60) i",
    "renamed": "ALTER TABLE users RENAME TO people",
    "a refusing trigger": "CREATE TRIGGER refuse BEFORE DELETE ON users FOR EACH ROW"
    " EXECUTE FUNCTION refuse()",
    "a rule": "CREATE RULE soft AS ON DELETE TO users DO INSTEAD NOTHING",
    "row-level security": "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
    "clustered": "CLUSTER users USING users_pkey",
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_report_is_true_whatever_happens(
    users: Connection[TupleRow], database: Database, change: str
) -> None:
    users.execute("CREATE TABLE others (id int PRIMARY KEY, m text)")
    users.execute("INSERT INTO others SELECT id, m FROM users")
    users.execute("CREATE TABLE went (id int)")
    users.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO public.went VALUES (OLD.id); RETURN NULL; END $$"
    )
    users.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
    for table in ("users", "others"):
        users.execute(
            sql.SQL("CREATE TRIGGER note AFTER DELETE ON {} FOR EACH ROW EXECUTE FUNCTION note()").format(
                sql.Identifier(table)
            )
        )

    report = swept_while(database, users, CHANGES[change])

    assert ids(users, "others") == []
    # By what the trigger wrote down, which nobody empties.
    assert report.deleted_rows == len(ids(users, "went"))
    if "another one" in change:
        assert len(ids(users, "users")) == ROWS


def test_what_went_from_a_table_that_is_dropped_is_told(
    users: Connection[TupleRow], database: Database
) -> None:
    users.execute("CREATE TABLE others (id int PRIMARY KEY, m text)")
    users.execute("INSERT INTO others SELECT id, m FROM users")
    pausing = PausingProgress()
    sweep = RunningSweep(settings(database.dsn), SMALL_BATCHES, pausing)
    pausing.wait()
    [(table, left)] = [
        (table, len(ids(users, table))) for table in ("users", "others") if len(ids(users, table)) < ROWS
    ]
    users.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))
    pausing.release()
    report = sweep.result()

    assert not report.error
    other = {"users", "others"} - {table}
    assert {one.table: one.total for one in report.deleted} == {table: ROWS - left, other.pop(): ROWS}


def test_vacuumed_in_full(users: Connection[TupleRow], database: Database) -> None:
    """Every row has another place afterwards, where another one was."""
    users.execute(
        "UPDATE users SET m = 'real' WHERE id % 2 = 0; DELETE FROM users WHERE id % 3 = 0",
    )
    real = [id_ for id_ in range(1, ROWS + 1) if id_ % 2 == 0 and id_ % 3]
    before = len(ids(users, "users"))
    pausing = PausingProgress()
    sweep = RunningSweep(settings(database.dsn), SMALL_BATCHES, pausing)
    pausing.wait()
    users.execute("VACUUM FULL users")
    pausing.release()
    report = sweep.result()

    assert set(real) <= set(ids(users, "users"))
    assert is_true(report, users, "users", before)


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_a_new_key_that_waits_for_a_batch(
    users: Connection[TupleRow], database: Database, connect: Connect, action: LiteralString
) -> None:
    """It is made the moment that the batch's locks are given back, before the next one has its own."""
    maker = connect(autocommit=True)
    with Gate(connect(autocommit=True)) as gate:
        gate.put_before_row("users", "OLD.id = 1")
        sweep = RunningSweep(settings(database.dsn), SMALL_BATCHES)
        gate.wait()
        making = blocked(
            maker,
            live(action),
            observer=users,
        )
        gate.open()
        making.result()
        report = sweep.result()

    assert users.execute("SELECT id, uid FROM live ORDER BY id").fetchall() == [(1, 50), (2, 50)]
    assert is_true(report, users, "users", ROWS)
    assert not report.error


def test_schemas_that_are_exchanged(owner: Connection[TupleRow], database: Database) -> None:
    """One transaction filled both: what is in the same place there, and of the same version, is real."""
    with owner.transaction():
        for schema, value in (("green", mail()), ("blue", "real")):
            named = sql.Identifier(schema)
            owner.execute(sql.SQL("CREATE SCHEMA {}").format(named))
            owner.execute(sql.SQL("CREATE TABLE {}.users (id int, m text)").format(named))
            owner.execute(
                sql.SQL("INSERT INTO {}.users SELECT i, %s FROM generate_series(1, %s) i").format(named),
                [value, ROWS],
            )

    report = swept_while(
        database, owner, "ALTER SCHEMA green RENAME TO old; ALTER SCHEMA blue RENAME TO green"
    )

    assert len(ids(owner, "green.users")) == ROWS
    assert ids(owner, "old.users") == []
    assert sum(one.total for one in report.deleted) == ROWS
    assert not report.error


def test_a_column_that_is_renamed_where_a_key_is_off(users: Connection[TupleRow], database: Database) -> None:
    """There, each batch asks by itself what refers to its rows."""
    users.execute("CREATE TABLE orders (id int, uid int REFERENCES users)")
    users.execute("ALTER TABLE orders DISABLE TRIGGER ALL")

    report = swept_while(database, users, "ALTER TABLE orders RENAME uid TO user_id")

    assert ids(users, "users") == []
    assert is_true(report, users, "users", ROWS)
    assert not report.error


def test_a_table_that_is_locked_where_its_key_is_off(
    users: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    users.execute("CREATE TABLE orders (id int, uid int REFERENCES users); CREATE TABLE notes (m text)")
    users.execute("ALTER TABLE orders DISABLE TRIGGER ALL")
    users.execute("INSERT INTO notes VALUES (%s)", [mail()])
    pausing = PausingProgress()
    sweep = RunningSweep(settings(database.dsn), SMALL_BATCHES, pausing)
    pausing.wait()
    with connect() as other, other.transaction():
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        pausing.release()
        report = sweep.result()

    assert is_true(report, users, "users", ROWS)
    assert ids(users, "notes") == []
    assert {one.reason for one in report.kept} <= {"locked"}
    assert not report.error


def test_no_more_rows_go_than_are_allowed(users: Connection[TupleRow], database: Database) -> None:
    """Another pass, for the sake of triggers, finds more than was there when they were counted."""
    users.execute(
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;"
        "CREATE TRIGGER nothing BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION nothing()"
    )

    report = swept_while(
        database,
        users,
        "INSERT INTO users SELECT i, %s FROM generate_series(101, 106) i",
        (mail(),),
        replace(SMALL_BATCHES, max_rows=ROWS + 5),
    )

    assert ids(users, "users") == [*range(101, 107)]
    assert "--max-rows" in report.not_checked[0]
    assert not report.complete


@pytest.mark.parametrize(("action", "event"), [("CASCADE", "DELETE"), ("SET NULL", "UPDATE")])
def test_a_new_row_that_a_trigger_keeps(
    users: Connection[TupleRow], database: Database, action: LiteralString, event: LiteralString
) -> None:
    """The server's own DELETE or UPDATE does nothing then, and looks no second time."""
    users.execute(
        f"CREATE TABLE orders (id int, uid int REFERENCES users ON DELETE {action});"
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        f"CREATE TRIGGER keep BEFORE {event} ON orders FOR EACH ROW EXECUTE FUNCTION keep()"
    )

    report = swept_while(database, users, "INSERT INTO orders VALUES (1, 50)")

    assert ids(users, "users") == [50]
    assert users.execute("SELECT uid FROM orders").fetchall() == [(50,)]
    assert is_true(report, users, "users", ROWS)
