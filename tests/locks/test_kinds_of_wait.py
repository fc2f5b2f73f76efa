"""The less common ways to wait: edges exactly as the server has them, and nobody accused wrongly."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.locks.model import Party
from pgwatch_tests.reports import lock_tree
from tests.locks.looking import edges_of, edges_of_server, kind_of, look, target_of
from tests.sessions import Connect, Database, RunningStatement, blocked
from tests.waiting import wait_until

Session = Connection[TupleRow]


def pid(session: Session) -> int:
    return session.info.backend_pid


@pytest.fixture
def tables(connect: Connect) -> None:
    connect(autocommit=True).execute(
        "CREATE TABLE parents (id int PRIMARY KEY, n int);"
        "INSERT INTO parents SELECT g, 0 FROM generate_series(1, 9) AS g;"
        "CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents, during int4range,"
        " EXCLUDE USING gist (during WITH &&));"
    )


@pytest.mark.usefixtures("tables")
def test_several_holders_of_a_shared_row_lock_are_all_named(database: Database, connect: Connect) -> None:
    one, other, writer = connect(), connect(), connect()
    for sharer in (one, other):
        sharer.execute("SELECT * FROM parents WHERE id = 1 FOR SHARE")
    blocked(writer, "UPDATE parents SET n = 1 WHERE id = 1")
    picture = look(database.dsn)
    assert edges_of(picture) == edges_of_server(database.dsn)
    assert {waiter for waiter, _ in edges_of(picture)} == {pid(writer)}
    # A multixact is waited for member by member: the server names the member that it waits for now.
    assert {blocker for _, blocker in edges_of(picture)} <= {pid(one), pid(other)}
    [edge] = picture.snapshot.shown_edges
    assert edge.lock.target == "row of parents (id=1)"
    [hidden] = {pid(one), pid(other)} - {edge.blocker.pid}
    assert edge.lock.also_held_by == (Party(hidden),)
    assert f"(pid {hidden})" in lock_tree.text(picture.snapshot)


@pytest.mark.usefixtures("tables")
def test_a_foreign_key_waits_for_its_parent_row(database: Database, connect: Connect) -> None:
    deleting, inserting = connect(), connect()
    deleting.execute("DELETE FROM parents WHERE id = 2")
    blocked(inserting, "INSERT INTO children (id, parent) VALUES (1, 2)")
    picture = look(database.dsn)
    assert edges_of(picture) == {(pid(inserting), pid(deleting))} == edges_of_server(database.dsn)
    assert target_of(picture, pid(inserting), pid(deleting)) == "row of parents (id=2)"


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO parents VALUES (100, 1)",
        "INSERT INTO parents VALUES (100, 1) ON CONFLICT DO NOTHING",
        "UPDATE parents SET id = 100 WHERE id = 3",
    ],
)
def test_unique_collisions(statement: str, database: Database, connect: Connect) -> None:
    one, other = connect(), connect()
    one.execute("INSERT INTO parents VALUES (100, 0)")
    blocked(other, statement)
    picture = look(database.dsn)
    assert edges_of(picture) == {(pid(other), pid(one))} == edges_of_server(database.dsn)
    assert target_of(picture, pid(other), pid(one)) == "unique key of parents (id)"


@pytest.mark.usefixtures("tables")
def test_an_exclusion_constraint(database: Database, connect: Connect) -> None:
    one, other = connect(), connect()
    one.execute("INSERT INTO children (id, during) VALUES (1, '[1,5)')")
    blocked(other, "INSERT INTO children (id, during) VALUES (2, '[4,9)')")
    picture = look(database.dsn)
    assert edges_of(picture) == {(pid(other), pid(one))} == edges_of_server(database.dsn)
    assert target_of(picture, pid(other), pid(one)) == "unique key of children (during or id)"


@pytest.mark.usefixtures("tables")
def test_a_savepoint_blocks_and_a_rolled_back_one_does_not(database: Database, connect: Connect) -> None:
    holder, waiter, free = connect(), connect(), connect(autocommit=True)
    holder.execute("SAVEPOINT a")
    holder.execute("UPDATE parents SET n = 1 WHERE id = 4")
    holder.execute("SAVEPOINT b")
    holder.execute("UPDATE parents SET n = 1 WHERE id = 5")
    holder.execute("ROLLBACK TO SAVEPOINT b")
    free.execute("UPDATE parents SET n = 2 WHERE id = 5")
    blocked(waiter, "UPDATE parents SET n = 2 WHERE id = 4")
    picture = look(database.dsn)
    assert edges_of(picture) == {(pid(waiter), pid(holder))} == edges_of_server(database.dsn)
    assert target_of(picture, pid(waiter), pid(holder)) == "row of parents (id=4)"


def test_shared_advisory_locks_do_not_accuse_each_other(database: Database, connect: Connect) -> None:
    one, other, waiter, queued = (connect() for _ in range(4))
    for sharer in (one, other):
        sharer.execute("SELECT pg_advisory_lock_shared(1)")
    blocked(waiter, "SELECT pg_advisory_xact_lock(1)")
    blocked(queued, "SELECT pg_advisory_lock_shared(1)")
    picture = look(database.dsn)
    assert edges_of(picture) == {
        (pid(waiter), pid(one)),
        (pid(waiter), pid(other)),
        (pid(queued), pid(waiter)),
    }
    assert edges_of(picture) == edges_of_server(database.dsn)
    assert kind_of(picture, pid(queued), pid(waiter)) == "soft"


@pytest.mark.usefixtures("tables")
def test_an_index_built_concurrently_waits_for_an_old_transaction(
    database: Database, connect: Connect
) -> None:
    writer, builder = connect(), connect(autocommit=True)
    writer.execute("UPDATE parents SET n = 1 WHERE id = 6")
    blocked(builder, "CREATE INDEX CONCURRENTLY ON parents (n)")
    picture = look(database.dsn)
    assert edges_of(picture) == {(pid(builder), pid(writer))} == edges_of_server(database.dsn)
    assert target_of(picture, pid(builder), pid(writer)).startswith(("end of transaction", "table parents"))


@pytest.mark.usefixtures("tables")
def test_a_deferrable_transaction_waits_for_a_safe_snapshot(database: Database, connect: Connect) -> None:
    writer, reader = connect(), connect(autocommit=True)
    writer.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    writer.execute("SELECT * FROM parents")
    writer.execute("UPDATE parents SET n = 1 WHERE id = 7")
    reading = RunningStatement(
        reader, "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; SELECT * FROM parents", ()
    )
    observer = connect(autocommit=True)
    waits = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'SafeSnapshot'"
    wait_until(lambda: observer.execute(waits, [reading.pid]).fetchone(), message="waits for a safe snapshot")
    picture = look(database.dsn)
    assert edges_of(picture) == {(pid(reader), pid(writer))}
    assert kind_of(picture, pid(reader), pid(writer)) == "safe_snapshot"
    assert target_of(picture, pid(reader), pid(writer)) == "safe snapshot (DEFERRABLE transaction)"


@pytest.mark.usefixtures("tables")
def test_a_parallel_query_waits_as_one_session(database: Database, connect: Connect) -> None:
    admin, locker, reader = connect(autocommit=True), connect(), connect(autocommit=True)
    admin.execute(
        "CREATE FUNCTION slow_key(int) RETURNS int LANGUAGE plpgsql PARALLEL SAFE AS"
        " $$ BEGIN PERFORM count(*) FROM parents; RETURN $1; END $$;"
        "CREATE TABLE many AS SELECT g AS n FROM generate_series(1, 50000) AS g; ANALYZE many"
    )
    reader.execute(
        "SET debug_parallel_query = on"
        if reader.info.server_version >= 160000
        else "SET force_parallel_mode = on"
    )
    reader.execute(
        "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0"
    )
    locker.execute("LOCK TABLE parents")
    RunningStatement(reader, "SELECT count(*) FROM many WHERE slow_key(n) > 0", ())
    wait_until(
        lambda: admin.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone(), message="a worker waits"
    )
    picture = look(database.dsn)
    assert edges_of(picture) == {(pid(reader), pid(locker))} == edges_of_server(database.dsn)
    assert target_of(picture, pid(reader), pid(locker)) == "table parents"


def test_a_database_that_is_being_dropped(database: Database, connect: Connect) -> None:
    name = f"{database.name}_b"
    holder, dropping = connect(), connect(autocommit=True)
    connect(autocommit=True).execute(f"CREATE DATABASE {name}".encode())
    holder.execute(f"COMMENT ON DATABASE {name} IS 'held'".encode())
    drop = blocked(dropping, f"DROP DATABASE {name}")
    picture = look(database.dsn)
    assert edges_of(picture) == {(pid(dropping), pid(holder))} == edges_of_server(database.dsn)
    assert target_of(picture, pid(dropping), pid(holder)) == f"database {name}"
    holder.rollback()
    drop.result()


@pytest.mark.usefixtures("tables")
def test_a_blocker_in_another_database(database: Database, connect: Connect) -> None:
    one, other = connect(database="postgres"), connect()
    one.execute("LOCK TABLE pg_shdescription")
    blocked(other, "SELECT * FROM pg_shdescription", observer=connect(autocommit=True))
    picture = look(database.dsn)
    assert edges_of(picture) == {(pid(other), pid(one))} == edges_of_server(database.dsn)
    assert target_of(picture, pid(other), pid(one)) == "table pg_shdescription"
    assert picture.sessions[Party(pid(one))].database == "postgres"
