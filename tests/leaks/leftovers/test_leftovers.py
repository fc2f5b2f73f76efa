"""What is left beside rows is found, whoever asks; what a role can't see is never taken for nothing."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.gate import ALL_KINDS, SINCE_KINDS
from pgwatch_tests.leaks.leftovers import first_words, matches
from pgwatch_tests.leaks.model import Leftover, LeftoverKind
from pgwatch_tests.postgres import queries
from pgwatch_tests.testing.leases import database as own_database
from pgwatch_tests.testing.leases import schema as own_schema
from tests.leaks.leftovers.leftovers_seen import found, is_active, looked, only
from tests.servers.sessions import Connect, Database, MakeRole, RunningStatement, drop_database, unique_name
from tests.waiting import wait_until

HOSTILE = 'a "b" %s %(x)s \'; -- \x1b[31m \u202e ü界'


def test_an_empty_database_has_none(database: Database) -> None:
    report = looked(database.dsn, *ALL_KINDS)

    assert [one for one in report.leftovers if one.kind not in ("database", "setting")] == []
    assert report.unchecked == ()
    assert set(report.kinds_checked) == set(ALL_KINDS) - set(SINCE_KINDS)
    assert report.total == 0


def test_only_what_was_asked_for_is_looked_for(owner: Connection[TupleRow], database: Database) -> None:
    owner.execute("CREATE SCHEMA test_1717171717171_1_x")

    assert looked(database.dsn).leftovers == ()
    assert looked(database.dsn).kinds_checked == ()


def test_schemas(owner: Connection[TupleRow], database: Database) -> None:
    name = unique_name()
    for schema in (name, "test_plain", "testing", "Test_upper", HOSTILE, f"test_{HOSTILE}"):
        owner.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    owner.execute(sql.SQL("CREATE TABLE {}.t (i int primary key)").format(sql.Identifier(name)))

    by_name = {one.name: one for one in found(database.dsn, "schema")}

    assert set(by_name) == {name, "test_plain", f"test_{HOSTILE}"}
    assert by_name[name].detail == "1 relation, owner postgres"
    age_s = by_name[name].age_s
    assert age_s is not None
    assert 0 <= age_s < 60
    unnumbered = by_name["test_plain"]
    assert replace(unnumbered, age_s=None) == Leftover("schema", "test_plain", "0 relations, owner postgres")
    # Its name doesn't tell its age; the server does where commits have times.
    [(kept,)] = owner.execute("SHOW track_commit_timestamp")
    assert (unnumbered.age_s is not None) == (kept == "on")
    assert 0 <= (unnumbered.age_s or 0) < 60
    ours = looked(database.dsn, "schema", patterns=("Test_[a-z]*", HOSTILE)).leftovers
    assert {one.name for one in ours} == {"Test_upper", HOSTILE}


@pytest.mark.parametrize("kind", ["schema", "database"])
def test_what_goes_while_it_is_looked_at_isnt_left_over(
    owner: Connection[TupleRow],
    database: Database,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    kind: LeftoverKind,
) -> None:
    # Between the statement's names, as of its beginning, and the leases that it reads.
    owner.execute(
        "CREATE FUNCTION late_locks() RETURNS SETOF record LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock_shared(2);"
        " WHILE NOT pg_try_advisory_xact_lock_shared(1) LOOP PERFORM pg_sleep(0.005); END LOOP;"
        " RETURN QUERY SELECT * FROM pg_lock_status(); END'"
    )
    query = queries.load(f"leftovers/{kind}")
    columns = (
        "locktype text, database oid, relation oid, page int, tuple smallint, virtualxid text, transactionid"
        " xid, classid oid, objid oid, objsubid smallint, virtualtransaction text, pid int, mode text,"
        " granted boolean, fastpath boolean, waitstart timestamptz"
    )
    if owner.info.server_version < 140000:
        columns = columns.removesuffix(", waitstart timestamptz")
    late = query.replace("pg_catalog.pg_lock_status() AS lease", f"public.late_locks() AS lease ({columns})")
    assert late != query
    load = queries.load
    monkeypatch.setattr(queries, "load", lambda name: late if name == f"leftovers/{kind}" else load(name))
    gate = connect(autocommit=True)
    gate.execute("SELECT pg_advisory_lock(1)")
    with ThreadPoolExecutor(1) as threads:
        with own_schema(database.dsn) if kind == "schema" else own_database(database.dsn) as own:
            name = own if isinstance(own, str) else own.name
            looking = threads.submit(found, database.dsn, kind)
            wait_until(
                lambda: owner.execute("SELECT 1 FROM pg_locks WHERE objid = 2 AND objsubid = 1").fetchone(),
                message="the look has begun",
            )
        gate.execute("SELECT pg_advisory_unlock(1)")
        assert [one for one in looking.result() if one.name == name] == []


def test_a_stamp_in_the_future_is_no_age_below_zero(owner: Connection[TupleRow], database: Database) -> None:
    owner.execute("CREATE SCHEMA test_1999999999999_1_x")

    assert only(database.dsn, "schema").age_s == 0.0


def test_prepared_transactions_of_this_database_only(
    owner: Connection[TupleRow], database: Database, server: EmbeddedServer, make_role: MakeRole
) -> None:
    gids = [f"{unique_name()} {HOSTILE}", unique_name()]
    for gid, dsn in zip(gids, (database.dsn, server.dsn()), strict=True):
        with psycopg.connect(dsn, autocommit=True) as session:
            session.execute("BEGIN")
            session.execute("SELECT pg_current_xact_id()")
            session.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))
    try:
        # Everybody may see them.
        for dsn in (database.dsn, server.dsn(database.name, make_role())):
            leftover = only(dsn, "prepared_transaction")
            assert (leftover.name, leftover.detail) == (gids[0], "owner postgres")
            assert leftover.age_s is not None
            assert 0 <= leftover.age_s < 60
    finally:
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            administrator.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gids[1])))


def test_advisory_locks_of_idle_sessions(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    idle, busy, elsewhere = connect(autocommit=True), connect(autocommit=True), connect(database="postgres")
    idle.execute("SELECT pg_advisory_lock(-5), pg_advisory_lock(-1, 7), pg_advisory_lock_shared(9)")
    elsewhere.execute("SELECT pg_advisory_lock(123456)")
    busy.execute("SELECT pg_advisory_lock(77)")
    running = RunningStatement(busy, "SELECT pg_sleep(60)", ())
    wait_until(lambda: is_active(owner, running.pid))

    locks = found(database.dsn, "advisory_lock")

    assert {one.name for one in locks} == {"-5", "(-1, 7)", "9"}
    details = {one.name: one.detail for one in locks}
    assert details["9"].startswith(f"shared, pid {idle.info.backend_pid}, idle, user postgres, last: SELECT")
    assert details["-5"].startswith("pid ")
    assert all(one.age_s is not None for one in locks)
    # Whoever looks at one may end its session, and no later one with the same pid.
    [(pid, began)] = {(one.session.pid, one.session.backend_start) for one in locks if one.session}
    assert pid == idle.info.backend_pid
    assert began is not None
    assert all(one.session is not None for one in locks)


def test_other_databases_of_tests(
    owner: Connection[TupleRow], database: Database, server: EmbeddedServer
) -> None:
    other = unique_name()
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(other)))
        try:
            by_name = {one.name: one for one in found(database.dsn, "database")}
        finally:
            drop_database(administrator, other)

    assert by_name[other].detail == "nobody connected, owner postgres"
    assert by_name[other].age_s is not None
    assert not {database.name, "postgres", "template1"} & set(by_name)


def test_who_is_connected_to_another_database_of_tests(
    database: Database, server: EmbeddedServer, connect: Connect, make_role: MakeRole
) -> None:
    other, plain = unique_name(), make_role()
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(other)))
        try:
            worker = connect("background worker", other, autocommit=True)
            worker.execute("SELECT 1")
            details = _connected_to(database.dsn, other)
            assert re.fullmatch(
                rf"1 session, owner postgres; connected: pid {worker.info.backend_pid}: background worker, "
                r"user postgres, client (local|127\.0\.0\.1:\d+), idle for .+",
                details,
            )
            hidden = _connected_to(server.dsn(database.name, plain), other)
            assert hidden.endswith(": background worker, user postgres, state hidden")
            for number in range(3):
                connect(f"pytest:gw{number} t.py::test_{number}", other)
            details = _connected_to(database.dsn, other)
            assert details.startswith("4 sessions, owner postgres; connected: pid ")
            assert details.count("; pid ") == 2, "no more than three are named"
            assert "test t.py::test_0 (pytest gw0)" in details
        finally:
            drop_database(administrator, other)


def _connected_to(dsn: str, name: str) -> str:
    return next(one.detail for one in found(dsn, "database") if one.name == name)


def test_replication_slots_of_this_database(owner: Connection[TupleRow], database: Database) -> None:
    slot, other = unique_name("slot"), unique_name("slot")
    owner.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    owner.execute("SELECT pg_create_physical_replication_slot(%s)", [other])
    try:
        leftover = only(database.dsn, "replication_slot")
    finally:
        owner.execute(
            "SELECT pg_drop_replication_slot(name) FROM unnest(%s::text[]) AS name", [[slot, other]]
        )

    assert (leftover.name, leftover.detail) == (slot, "plugin pgoutput, not in use")
    assert (leftover.age_s is not None) == (owner.info.server_version >= 170000)


def test_large_objects_whoever_owns_them(
    owner: Connection[TupleRow], database: Database, server: EmbeddedServer, make_role: MakeRole
) -> None:
    owner.execute("SELECT lo_create(oid) FROM generate_series(910001, 910007) AS oid")

    for dsn in (database.dsn, server.dsn(database.name, make_role())):
        leftover = only(dsn, "large_object")
        assert leftover.name == "of postgres"
        assert leftover.detail == "7 large objects: 910001, 910002, 910003, 910004, 910005, …"


def test_unlogged_tables(owner: Connection[TupleRow], database: Database) -> None:
    owner.execute(sql.SQL("CREATE UNLOGGED TABLE {} (i int primary key)").format(sql.Identifier(HOSTILE)))
    owner.execute("CREATE TABLE logged (i int)")
    owner.execute("CREATE TEMPORARY TABLE temporary (i int)")

    assert found(database.dsn, "unlogged_table") == [
        Leftover("unlogged_table", f"public.{HOSTILE}", "owner postgres")
    ]


def test_settings_that_were_changed(
    owner: Connection[TupleRow], database: Database, make_role: MakeRole
) -> None:
    role = make_role()
    name, of_role = sql.Identifier(database.name), sql.Identifier(role)
    owner.execute(sql.SQL("ALTER DATABASE {} SET work_mem = '5MB'").format(name))
    owner.execute(sql.SQL("ALTER DATABASE {} SET app.key = 'secret'").format(name))
    owner.execute(sql.SQL("ALTER ROLE {} SET search_path = 'a=b'").format(of_role))
    owner.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} SET jit = off").format(of_role, name))
    owner.execute(sql.SQL("ALTER ROLE {} IN DATABASE postgres SET jit = off").format(of_role))

    details = {
        one.name: one.detail
        for one in found(database.dsn, "setting")
        if database.name in one.name or role in one.name
    }

    assert details == {
        f"DATABASE {database.name}: work_mem": "SET work_mem = 5MB",
        f"DATABASE {database.name}: app.key": "value not shown",
        f"ROLE {role}: search_path": 'SET search_path = "a=b"',
        f"ROLE {role} IN DATABASE {database.name}: jit": "SET jit = off",
    }


def test_invalid_indexes(owner: Connection[TupleRow], database: Database) -> None:
    owner.execute("CREATE TABLE t AS SELECT 1 AS i FROM generate_series(1, 2)")
    with pytest.raises(errors.UniqueViolation):
        owner.execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON t (i)")
    owner.execute("CREATE INDEX fine ON t (i)")

    assert [one.name for one in found(database.dsn, "invalid_index")] == ["public.broken"]


def test_an_index_that_is_being_built_isnt_left_over(
    owner: Connection[TupleRow],
    database: Database,
    server: EmbeddedServer,
    connect: Connect,
    make_role: MakeRole,
) -> None:
    plain = make_role()
    owner.execute("CREATE TABLE t (i int)")
    connect().execute("LOCK TABLE t IN ROW EXCLUSIVE MODE")
    builder = connect(autocommit=True)
    RunningStatement(builder, "CREATE INDEX CONCURRENTLY building ON t (i)", ())
    wait_until(lambda: owner.execute("SELECT 1 FROM pg_index WHERE NOT indisvalid").fetchone())

    for dsn in (database.dsn, server.dsn(database.name, plain)):
        assert found(dsn, "invalid_index") == []

    owner.execute("SELECT pg_terminate_backend(%s)", [builder.info.backend_pid])
    (leftover,) = wait_until(lambda: found(database.dsn, "invalid_index"))
    assert (leftover.name, leftover.detail.split(",")[0]) == ("public.building", "on t")


@pytest.mark.parametrize(
    ("catalog", "kind"),
    [
        ("pg_trigger", "disabled_trigger"),
        ("pg_largeobject_metadata", "large_object"),
    ],
)
def test_a_locked_catalog_is_not_checked(
    database: Database, connect: Connect, catalog: str, kind: LeftoverKind
) -> None:
    connect().execute(f"LOCK TABLE {catalog} IN ACCESS EXCLUSIVE MODE".encode())

    report = looked(database.dsn, kind, "schema")

    (unchecked,) = report.unchecked
    assert (unchecked.kind, unchecked.reason) == (kind, "a catalog is locked")


def test_a_function_that_may_not_be_called_is_named(
    database: Database, server: EmbeddedServer, owner: Connection[TupleRow], make_role: MakeRole
) -> None:
    plain = make_role()
    owner.execute("REVOKE EXECUTE ON FUNCTION pg_prepared_xact() FROM PUBLIC")

    (unchecked,) = looked(server.dsn(database.name, plain), "prepared_transaction").unchecked

    assert unchecked.reason == "can't be read: permission denied for function pg_prepared_xact"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELECT 1", "SELECT 1"),
        ("  UPDATE  users\n SET n = 1", "UPDATE users SET n = 1"),
        ("INSERT INTO t VALUES ('secret')", "INSERT INTO t VALUES ( …"),
        ("SELECT $$secret$$", "SELECT …"),
        ("SELECT $1, $2", "SELECT $1, $2"),
        ("ALTER ROLE a PASSWORD 'x'", "ALTER ROLE a PASSWORD …"),
        ("x" * 100, "x" * 60 + " …"),
        ("", ""),
    ],
)
def test_first_words(statement: str, words: str) -> None:
    assert first_words(statement) == words


def test_a_name_is_itself_whatever_it_looks_like_as_a_glob() -> None:
    assert matches("test_[1]", ("test_[1]",))
    assert matches("test_1", ("test_[1]",))
    assert not matches("Test_1", ("test_*",))
