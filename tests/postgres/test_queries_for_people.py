"""The statements that a person runs with psql: activity.sql and waiting_locks.sql."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import DictRow, TupleRow, dict_row

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.postgres import queries
from tests.servers.sessions import Connect, Database, MakeRole, unique_name
from tests.waiting import wait_until

NAMES = ("activity", "waiting_locks")
ROLES = ("superuser", "pg_monitor", "plain")
HOSTILE = (
    # Wrong answers for whoever finds these by the path.
    "CREATE SCHEMA hostile",
    "CREATE FUNCTION hostile.equal(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
    "CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.equal)",
    "CREATE VIEW hostile.pg_stat_activity AS SELECT 1 AS pid",
    "CREATE VIEW hostile.pg_locks AS SELECT 1 AS pid",
)


@pytest.fixture(params=ROLES)
def user(request: pytest.FixtureRequest, make_role: MakeRole, server: EmbeddedServer) -> str:
    """Who asks."""
    if request.param == "superuser":
        return "postgres"
    role = make_role()
    if request.param == "pg_monitor":
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            administrator.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(role)))
    return role


@pytest.fixture
def reader(
    owner: Connection[TupleRow], database: Database, server: EmbeddedServer, user: str
) -> Iterator[Connection[DictRow]]:
    """A session of that role, with a search_path that lies."""
    for statement in HOSTILE:
        owner.execute(statement)
    owner.execute(sql.SQL("GRANT USAGE ON SCHEMA hostile TO {}").format(sql.Identifier(user)))
    path = "-c search_path=hostile,pg_catalog -c standard_conforming_strings=off"
    with psycopg.connect(
        server.dsn(database.name, user), options=path, autocommit=True, row_factory=dict_row
    ) as connection:
        yield connection


@pytest.fixture
def queue(connect: Connect, owner: Connection[TupleRow], reader: object) -> Iterator[tuple[int, int, int]]:
    """Three pids: a test holds a table, DDL waits for it, and a third is behind the DDL alone."""
    del reader  # made first: the owner still answers then
    owner.execute("CREATE TABLE rooms (id int)")
    holder, ddl, third = (connect(f"pytest:gw{number} test_rooms") for number in range(3))
    holder.execute("SELECT 1 /* \x1b[31m\u202e\n   x */ FROM rooms")
    pids = holder.info.backend_pid, ddl.info.backend_pid, third.info.backend_pid
    ddl.autocommit = third.autocommit = True
    ddl.pgconn.send_query(b"ALTER TABLE rooms ADD note text")
    wait_until(lambda: _waiting(owner) == 1)
    third.pgconn.send_query(b"SELECT 2 FROM rooms")
    wait_until(lambda: _waiting(owner) == 2)
    yield pids
    holder.rollback()


def _waiting(owner: Connection[TupleRow]) -> int:
    found = owner.execute(
        "SELECT count(*) FROM pg_locks WHERE NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchone()
    assert found is not None
    return int(found[0])


def _rows(reader: Connection[DictRow], name: str) -> list[DictRow]:
    return reader.execute(queries.load(name).encode()).fetchall()


def test_activity_says_who_does_what_longest_first(
    reader: Connection[DictRow],
    queue: tuple[int, int, int],
    database: Database,
    request: pytest.FixtureRequest,
) -> None:
    rows = [row for row in _rows(reader, "activity") if row["pid"] in queue]

    assert {row["pid"]: row["behind"] for row in rows} == dict(
        zip(queue, ("", str(queue[0]), str(queue[1])), strict=True)
    )
    assert {row["database"] for row in rows} == {database.name}
    assert {row["user"] for row in rows} == {"postgres"}
    assert {row["test or application"] for row in rows} == {f"pytest:gw{n} test_rooms" for n in range(3)}
    if request.node.callspec.params["user"] == "plain":
        assert {(row["state"], row["for_s"]) for row in rows} == {("hidden", None)}
        return
    assert [row["pid"] for row in rows] == list(queue)
    assert [row["state"] for row in rows] == ["idle in transaction", "active", "active"]
    assert [row["waits_for"] for row in rows] == ["Client: ClientRead", "Lock: relation", "Lock: relation"]
    assert rows[0]["statement"] == "SELECT 1 /* \\x1b[31m\\u202e x */ FROM rooms"


def test_waiting_locks_says_who_is_behind_whom(
    reader: Connection[DictRow], queue: tuple[int, int, int]
) -> None:
    holder, ddl, third = queue
    rows = [row for row in _rows(reader, "waiting_locks") if row["pid"] in queue]

    assert [(row["pid"], row["behind"], row["wants"], row["blocker_has"]) for row in rows] == [
        (ddl, holder, "AccessExclusiveLock", "holds AccessShareLock"),
        (third, ddl, "AccessShareLock", "queued for AccessExclusiveLock"),
    ]
    assert {row["lock"] for row in rows} == {"relation public.rooms"}
    assert [row["blocker's test or application"] for row in rows] == [
        "pytest:gw0 test_rooms",
        "pytest:gw1 test_rooms",
    ]


@pytest.mark.parametrize("user", ["plain"], indirect=True)
def test_a_role_that_may_not_see_is_told_so(reader: Connection[DictRow], queue: tuple[int, int, int]) -> None:
    activity = {row["pid"]: row["state"] for row in _rows(reader, "activity")}
    waits = [row for row in _rows(reader, "waiting_locks") if row["pid"] in queue]

    assert {activity[pid] for pid in queue} == {"hidden"}
    assert {row["statement"] for row in waits} == {"hidden"}
    assert {row["blocker_state"] for row in waits} == {"hidden"}


@pytest.mark.parametrize("user", ["superuser"], indirect=True)
def test_a_blocker_may_be_a_prepared_transaction(
    reader: Connection[DictRow], owner: Connection[TupleRow], connect: Connect
) -> None:
    gid = unique_name("gid")
    owner.execute("CREATE TABLE rooms (id int)")
    connection = connect()
    connection.execute("INSERT INTO rooms VALUES (1)")
    connection.execute(sql.SQL("PREPARE TRANSACTION {}").format(gid))
    waiter = connect(autocommit=True)
    waiter.pgconn.send_query(b"TRUNCATE rooms")
    try:
        wait_until(lambda: _waiting(owner) == 1)
        [row] = [row for row in _rows(reader, "waiting_locks") if row["pid"] == waiter.info.backend_pid]
    finally:
        owner.execute(sql.SQL("ROLLBACK PREPARED {}").format(gid))
    assert (row["behind"], row["blocker's test or application"]) == (0, gid)
    assert (row["blocker_state"], row["blocker_has"]) == ("prepared", "holds RowExclusiveLock")


@pytest.mark.parametrize("user", ["plain"], indirect=True)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(shutil.which("psql") is None, reason="no psql here: the driver runs the statements above")
def test_psql_runs_the_file(
    name: str, server: EmbeddedServer, database: Database, queue: tuple[int, int, int], user: str
) -> None:
    file = queries.directory() / f"{name}.sql"
    ran = subprocess.run(
        ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", server.dsn(database.name, user), "-f", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "pytest:gw1 test_rooms" in ran.stdout
