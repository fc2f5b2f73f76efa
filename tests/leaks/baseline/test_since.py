"""Which rows are new or changed since a baseline, on a real server, against known truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.baseline.baseline import Baseline, unseen
from tests.leaks.baseline.baselines import compared, taken, use
from tests.leaks.scanning import insert, reasons, rows
from tests.servers.sessions import Connect, Database, MakeRole, drop_database, unique_name


def test_what_was_there_before_and_what_is_new(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE old (id int PRIMARY KEY, n int)")
    owner.execute("CREATE TABLE same (id int)")
    owner.execute("INSERT INTO old SELECT g, 0 FROM generate_series(1, 10) AS g")
    owner.execute("INSERT INTO same SELECT 1")
    baseline = taken(database)
    owner.execute("INSERT INTO old VALUES (11, 0), (12, 0)")
    owner.execute("UPDATE old SET n = 1 WHERE id IN (3, 12)")
    owner.execute("DELETE FROM old WHERE id = 7")

    report = compared(database, baseline)

    assert rows(report) == {"public.old": 3}
    assert report.tables[0].columns == ()
    assert set(report.tables[0].samples) <= {"id=3", "id=11", "id=12"}
    assert len(report.tables[0].samples) == 2
    assert (report.mode, report.markers, report.tables_checked, report.complete) == ("any", (), 2, True)
    assert use(report).taken_at == baseline.taken_at


def test_rows_that_come_to_nothing(database: Database, owner: Connection[TupleRow], connect: Connect) -> None:
    owner.execute("CREATE TABLE t (id int)")
    owner.execute("INSERT INTO t VALUES (1)")
    baseline = taken(database)
    owner.execute("INSERT INTO t VALUES (2)")
    owner.execute("DELETE FROM t WHERE id = 2")
    other = connect()
    other.execute("INSERT INTO t VALUES (3)")
    other.execute("UPDATE t SET id = 4 WHERE id = 1")
    other.rollback()
    other.execute("SELECT FROM t FOR UPDATE")  # writes xmax, and no row
    other.commit()
    other.execute("INSERT INTO t VALUES (5)")  # and never commits

    assert rows(compared(database, baseline)) == {}


def test_in_flight_at_the_baseline_with_savepoints(
    database: Database, owner: Connection[TupleRow], connect: Connect
) -> None:
    owner.execute("CREATE TABLE t (id int)")
    owner.execute("INSERT INTO t VALUES (1)")
    committing, aborting, prepared = connect(), connect(), connect()
    for number, session in enumerate((committing, aborting, prepared)):
        session.execute("SAVEPOINT outer_one")
        session.execute("INSERT INTO t VALUES (%s)", [10 + number])
        session.execute("SAVEPOINT inner_one")
        session.execute("INSERT INTO t VALUES (%s)", [20 + number])
        session.execute("RELEASE inner_one")
        session.execute("SAVEPOINT undone")
        session.execute("INSERT INTO t VALUES (%s)", [30 + number])
        session.execute("ROLLBACK TO undone")
    # Its end puts the snapshot's xmax above all of the above.
    owner.execute("INSERT INTO t VALUES (2)")
    gid = unique_name()
    prepared.execute(f"PREPARE TRANSACTION '{gid}'".encode())
    baseline = taken(database)
    committing.execute("SAVEPOINT later")
    committing.execute("INSERT INTO t VALUES (40)")
    committing.commit()
    aborting.rollback()
    owner.execute(f"COMMIT PREPARED '{gid}'".encode())

    report = compared(database, baseline)

    # 10, 20, 40 of one, 12, 22 of the other
    assert rows(report) == {"public.t": 5}
    assert rows(compared(database, taken(database))) == {}


def test_many_open_savepoints(database: Database, owner: Connection[TupleRow], connect: Connect) -> None:
    owner.execute("CREATE TABLE t (id int)")
    session = connect()
    session.execute(
        "DO $$ BEGIN FOR i IN 1..300 LOOP BEGIN INSERT INTO t VALUES (i);"
        " EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$"
    )  # more than a backend's shared list of subtransactions holds
    owner.execute("INSERT INTO t VALUES (0)")
    baseline = taken(database)
    session.commit()

    assert rows(compared(database, baseline)) == {"public.t": 300}
    assert len(baseline.running) == 1


@pytest.mark.parametrize(
    "statement", ["VACUUM (FREEZE) t", "VACUUM (FULL, FREEZE) t", "CLUSTER t USING t_pkey"]
)
def test_freezing_and_rewriting_keep_the_answer(
    database: Database, owner: Connection[TupleRow], statement: str
) -> None:
    owner.execute("CREATE TABLE t (id int PRIMARY KEY)")
    owner.execute("INSERT INTO t SELECT generate_series(1, 5)")
    baseline = taken(database)
    owner.execute("INSERT INTO t VALUES (6), (7)")
    owner.execute(statement.encode())

    assert rows(compared(database, baseline)) == {"public.t": 2}


def test_frozen_before(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE t (id int)")
    owner.execute("INSERT INTO t SELECT generate_series(1, 5)")
    owner.execute("VACUUM (FREEZE) t")
    baseline = taken(database)

    assert rows(compared(database, baseline)) == {}


def test_truncated_rewritten_and_refreshed(database: Database, owner: Connection[TupleRow]) -> None:
    for name in ("emptied", "refilled", "source"):
        owner.execute(f"CREATE TABLE {name} AS SELECT generate_series(1, 3) AS id".encode())
    owner.execute("CREATE MATERIALIZED VIEW view AS SELECT id FROM source")
    baseline = taken(database)
    owner.execute("TRUNCATE emptied")
    owner.execute("BEGIN")
    owner.execute("TRUNCATE refilled")
    owner.execute("INSERT INTO refilled VALUES (1)")
    owner.execute("COMMIT")
    owner.execute("REFRESH MATERIALIZED VIEW view")

    report = compared(database, baseline)

    assert rows(report) == {"public.refilled": 1, "public.view": 3}
    [note] = use(report).notes
    assert note.startswith("public.refilled, public.view: truncated or rewritten since")


def test_a_table_that_alter_writes_anew_counts_wholly_and_says_so(
    database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute("CREATE TABLE t AS SELECT generate_series(1, 3) AS id")
    baseline = taken(database)
    owner.execute("ALTER TABLE t ALTER id TYPE bigint")

    report = compared(database, baseline)

    assert rows(report) == {"public.t": 3}
    assert "old rows count as changed" in use(report).notes[0]


def test_tables_that_came_and_went(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE gone (id int)")
    owner.execute("CREATE TABLE renamed AS SELECT 1 AS id")
    baseline = taken(database)
    owner.execute("DROP TABLE gone")
    owner.execute("ALTER TABLE renamed RENAME TO other")
    owner.execute("CREATE TABLE made AS SELECT generate_series(1, 4) AS id")
    owner.execute("CREATE TABLE empty ()")

    report = compared(database, baseline)

    assert rows(report) == {"public.made": 4}
    assert use(report).dropped == ("public.gone",)
    assert report.tables[0].samples == ("ctid=(0,1)", "ctid=(0,2)")


def test_partitions_and_inheritance_count_once(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE root (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k)")
    owner.execute("CREATE TABLE mid PARTITION OF root DEFAULT PARTITION BY LIST (k)")
    owner.execute("CREATE TABLE leaf PARTITION OF mid FOR VALUES IN (1, 2)")
    owner.execute("CREATE TABLE alone (id int NOT NULL, k int NOT NULL)")
    owner.execute("CREATE TABLE parent (id int)")
    owner.execute("CREATE TABLE child () INHERITS (parent)")
    owner.execute("INSERT INTO root VALUES (1, 1)")
    owner.execute("INSERT INTO alone VALUES (1, 3)")
    owner.execute("INSERT INTO child VALUES (1)")
    baseline = taken(database)
    owner.execute("ALTER TABLE root ATTACH PARTITION alone FOR VALUES IN (3)")
    owner.execute("INSERT INTO root VALUES (2, 2), (3, 3)")
    owner.execute("INSERT INTO child VALUES (2), (3), (4)")
    owner.execute("INSERT INTO parent VALUES (5)")

    report = compared(database, baseline)

    assert rows(report) == {"public.root": 2, "public.child": 3, "public.parent": 1}
    root = next(leak for leak in report.tables if leak.table == "root")
    assert set(root.samples) == {"id=2, k=2", "id=3, k=3"}


def test_marked_rows_since(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE users (id int, email text)")
    owner.execute("CREATE TABLE stale (email text)")
    owner.execute("INSERT INTO users VALUES (1, 'old@test.example.com'), (2, 'moved@test.example.com')")
    owner.execute("INSERT INTO stale VALUES ('x@test.example.com')")
    baseline = taken(database)
    owner.execute("INSERT INTO users VALUES (3, 'new@test.example.com'), (4, 'real@example.com')")
    owner.execute("UPDATE users SET id = 20 WHERE id = 2")

    report = compared(database, baseline, any_rows=False)

    assert rows(report) == {"public.users": 2}
    assert report.mode == "marked"
    assert report.tables[0].columns == ("email",)
    assert not any("old" in sample for sample in report.tables[0].samples)
    # All tables were looked at: the owner's session is open and was busy a moment ago.
    assert (use(report).way, use(report).rows_before) == ("snapshot", 2)


def test_what_may_not_be_read_is_said(
    database: Database,
    owner: Connection[TupleRow],
    make_role: MakeRole,
) -> None:
    role = make_role()
    owner.execute("CREATE TABLE secret (c text)")
    owner.execute("CREATE TABLE partly (c text, d text)")
    owner.execute("CREATE TABLE hidden (c text)")
    owner.execute("CREATE TABLE open (c text)")
    owner.execute("ALTER TABLE hidden ENABLE ROW LEVEL SECURITY")
    owner.execute(f'GRANT SELECT (c) ON partly TO "{role}"'.encode())
    owner.execute(f'GRANT SELECT ON hidden, open TO "{role}"'.encode())
    own = Database(database.name, database.dsn.replace("postgres@", f"{role}@"))
    assert role in own.dsn
    baseline = taken(own)
    for name in ("secret", "partly", "hidden", "open"):
        insert(owner, name, ("a@test.example.com", None) if name == "partly" else "a@test.example.com")

    any_rows = compared(own, baseline)
    marked = compared(own, baseline, any_rows=False)

    assert rows(any_rows) == rows(marked) == {"public.open": 1}
    whole = "no SELECT privilege on the table as a whole"
    assert reasons(any_rows) == {
        "public.secret": whole,
        "public.partly": whole,
        "public.hidden": "row-level security",
    }
    # Of `partly`: that one column can't be read, and that no row's age can.
    assert {(skipped.table, skipped.reason) for skipped in marked.skipped} >= {("partly", whole)}
    assert {skipped.table for skipped in marked.skipped} == {"secret", "partly", "hidden"}
    assert not any_rows.complete
    assert any_rows.skipped[1].hint == f'GRANT SELECT ON "public"."partly" TO "{role}"'


def test_names_and_keys_of_any_kind(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute('CREATE TABLE "we""ird %s t" ("a b" text PRIMARY KEY, "drop" int)')
    baseline = taken(database)
    owner.execute(
        """INSERT INTO "we""ird %s t" VALUES ('someone.long@test.example.com' || repeat('x', 90))"""
    )

    report = compared(database, baseline)

    [leak] = report.tables
    assert leak.table == 'we"ird %s t'
    assert leak.samples[0].startswith("a b=someon…@test.example.com")
    assert len(leak.samples[0]) == 40


def test_other_servers_databases_and_times_are_refused(
    database: Database, owner: Connection[TupleRow], connect: Connect
) -> None:
    owner.execute("CREATE TABLE t (id int)")
    baseline = taken(database)

    def refused(changed: Baseline) -> str:
        with pytest.raises(ConfigurationError) as raised:
            compared(database, changed)
        assert raised.value.exit_code == 2
        return str(raised.value)

    server = baseline.server
    assert "another server" in refused(replace(baseline, system_identifier="1"))
    elsewhere = replace(server, database="elsewhere", oid=server.oid + 1)
    assert "of the database 'elsewhere'" in refused(replace(baseline, server=elsewhere))
    assert "recreated" in refused(replace(baseline, server=replace(server, oid=server.oid + 1)))
    assert "was taken on PostgreSQL 12.7" in refused(
        replace(baseline, server=replace(server, version=120007), system_identifier="1")
    )
    assert "newer than" in refused(replace(baseline, snapshot=f"{baseline.xmax}:{baseline.xmax + 10**6}:"))
    compared(database, replace(baseline, system_identifier=None))


def test_a_database_made_anew_under_the_same_name(database: Database, connect: Connect) -> None:
    baseline = taken(database)
    administrator = connect(database="postgres", autocommit=True)
    drop_database(administrator, database.name)
    administrator.execute(f'CREATE DATABASE "{database.name}"'.encode())

    with pytest.raises(ConfigurationError, match="recreated"):
        compared(database, baseline)


@pytest.mark.parametrize(
    ("snapshot", "running", "now", "xmin", "new"),
    [
        ("100:110:103", ((103, 104),), 200, 99, False),
        ("100:110:103", ((103, 104),), 200, 102, False),
        ("100:110:103", ((103, 104),), 200, 103, True),
        ("100:110:103", ((103, 104),), 200, 104, True),
        ("100:110:103", ((103, 104),), 200, 105, False),
        ("100:110:103", ((103, 104),), 200, 110, True),
        ("100:110:103", ((103, 104),), 200, 2, False),
        # A number from before the baseline that looks like one from after the server's last.
        ("3000000000:3000000000:", (), 3000000100, 3000000099, True),
        ("3000000000:3000000000:", (), 3000000100, 3000000100, False),
        ("3000000000:3000000000:", (), 3000000100, 700, False),
        # Over the point where 32 bits begin anew.
        ("4294967290:4294967295:", ((4294967290, 4294967290),), 4294967400, 4294967289, False),
        ("4294967290:4294967295:", ((4294967290, 4294967290),), 4294967400, 4294967290, True),
        ("4294967290:4294967295:", ((4294967290, 4294967290),), 4294967400, 4294967294, False),
        ("4294967290:4294967295:", ((4294967290, 4294967290),), 4294967400, 4294967295, True),
        ("4294967290:4294967295:", (), 4294967400, 3, True),
        ("4294967290:4294967295:", (), 4294967400, 103, True),
        ("4294967290:4294967295:", (), 4294967400, 104, False),
        # What freezing and initdb wrote in old times isn't a transaction.
        ("4294967290:4294967295:", (), 4294967400, 2, False),
        ("4294967290:4294967295:", (), 4294967400, 1, False),
        ("12884901898:12884901900:", (), 12884902000, 12, True),
        ("12884901898:12884901900:", (), 12884902000, 11, False),
    ],
)
def test_the_arithmetic_of_transaction_numbers(
    database: Database,
    owner: Connection[TupleRow],
    snapshot: str,
    running: tuple[tuple[int, int], ...],
    now: int,
    xmin: int,
    new: bool,
) -> None:
    baseline = replace(taken(database), snapshot=snapshot, running=running)
    statement = unseen(baseline)
    assert statement.count(b"pg_catalog.pg_current_snapshot()") == 1
    # No test can bring a server that far; the server's arithmetic on such numbers is its own.
    later = statement.replace(b"pg_catalog.pg_current_snapshot()", f"'{now}:{now}:'::pg_snapshot".encode())

    found = owner.execute(b"SELECT %b FROM (SELECT '%d'::xid AS xmin) AS t" % (later, xmin)).fetchone()

    assert found == (new,)
