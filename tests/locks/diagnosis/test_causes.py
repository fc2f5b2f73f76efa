"""Diagnosis on a real server, where telling the cause needs what the locks alone don't say."""

from __future__ import annotations

import pytest

from pgwatch_tests.locks.diagnosis.evidence import Diagnosis
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.model import Party
from tests.locks.looking import look
from tests.servers.sessions import Connect, Database, blocked


@pytest.fixture
def family(connect: Connect) -> None:
    connect(autocommit=True).execute(
        "CREATE TABLE parents (id int PRIMARY KEY, n int);"
        "INSERT INTO parents SELECT g, 0 FROM generate_series(1, 9) AS g;"
        "CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents);"
        "CREATE TABLE bystanders (id int PRIMARY KEY);"
    )


def cause(dsn: str, root: int) -> Diagnosis:
    return diagnose(look(dsn), Party(root))


@pytest.mark.usefixtures("family")
def test_a_child_waits_for_its_parent_that_is_being_deleted(database: Database, connect: Connect) -> None:
    deleting, inserting = connect("pytest:gw0 t.py::test_deletes"), connect("pytest:gw1 t.py::test_inserts")
    deleting.execute("DELETE FROM parents WHERE id = 2")
    inserting.execute("INSERT INTO bystanders VALUES (1)")
    blocked(inserting, "INSERT INTO children VALUES (1, 2)")
    told = cause(database.dsn, deleting.info.backend_pid)
    assert told.cause == "idle_in_transaction"
    assert "test_inserts (gw1, pid " in told.explanation
    assert "row of parents (id=2), which a foreign key of children refers to." in told.explanation


@pytest.mark.usefixtures("family")
def test_a_parent_that_is_deleted_waits_for_its_new_child(database: Database, connect: Connect) -> None:
    inserting, deleting = connect(), connect()
    inserting.execute("INSERT INTO children VALUES (1, 3)")
    blocked(deleting, "DELETE FROM parents WHERE id = 3")
    told = cause(database.dsn, inserting.info.backend_pid)
    assert told.cause == "foreign_key_share"
    assert "a foreign key of children refers to it" in told.explanation


@pytest.mark.usefixtures("family")
def test_no_foreign_key_is_blamed_for_an_update_of_the_row(database: Database, connect: Connect) -> None:
    one, other = connect(), connect()
    one.execute("INSERT INTO children VALUES (1, 4)")
    one.execute("UPDATE parents SET n = 1 WHERE id = 5")
    blocked(other, "UPDATE parents SET n = 2 WHERE id = 5")
    assert cause(database.dsn, one.info.backend_pid).cause == "idle_in_transaction"


@pytest.mark.usefixtures("family")
def test_an_index_build_waits_for_a_transaction_on_another_table(
    database: Database, connect: Connect
) -> None:
    holder, builder = connect("pytest:gw0 t.py::test_holds"), connect(autocommit=True)
    # A snapshot is what it waits for, not a lock.
    holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    holder.execute("SELECT * FROM bystanders")
    blocked(builder, "CREATE INDEX CONCURRENTLY ON parents (n)")
    told = cause(database.dsn, holder.info.backend_pid)
    assert told.cause == "idle_in_transaction"
    assert "CREATE INDEX CONCURRENTLY by" in told.explanation
    assert "or has an older snapshot of any table" in told.explanation


@pytest.mark.usefixtures("family")
def test_objects_are_named(database: Database, connect: Connect) -> None:
    one, other = connect(), connect()
    connect(autocommit=True).execute("CREATE SCHEMA audit")
    one.execute("CREATE TABLE audit.log ()")
    blocked(other, "DROP SCHEMA audit CASCADE")
    graph = look(database.dsn)
    [edge] = graph.snapshot.shown_edges
    assert edge.lock.target == "schema audit"
