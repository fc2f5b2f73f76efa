"""Who waits for whom, on a real server: edges exactly as the server has them, roots, and the words."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.demo.embedded import EmbeddedServer
from pgwatch_tests.locks.diagnose import diagnose
from pgwatch_tests.locks.model import Party
from tests.locks.looking import edges_of, edges_of_server, kind_of, look, roots_of, target_of
from tests.sessions import Connect, Database, MakeRole, blocked

Session = Connection[TupleRow]


@pytest.fixture
def accounts(connect: Connect) -> None:
    connect(autocommit=True).execute(
        "CREATE TABLE accounts (id int PRIMARY KEY, email text UNIQUE, balance int);"
        "INSERT INTO accounts SELECT n, n || '@real.example', 0 FROM generate_series(40, 45) AS n"
    )


def pid(session: Session) -> int:
    return session.info.backend_pid


def add(session: Session, account: int) -> None:
    session.execute("UPDATE accounts SET balance = balance + 1 WHERE id = %s", [account])


ADD = "UPDATE accounts SET balance = balance + 1 WHERE id = %s"


@pytest.mark.usefixtures("accounts")
def test_chain_of_three_behind_an_idle_transaction(database: Database, connect: Connect) -> None:
    sessions = [connect(f"pytest:gw{n} tests/test_chain.py::test_{n}") for n in range(4)]
    for n, session in enumerate(sessions):
        add(session, 42 - n)
    for n, session in enumerate(sessions[1:]):
        blocked(session, ADD, [42 - n])
    picture = look(database.dsn)
    root, first, second, third = map(pid, sessions)
    assert edges_of(picture) == {(first, root), (second, first), (third, second)}
    assert edges_of(picture) == edges_of_server(database.dsn)
    assert roots_of(picture) == {root: (3, 1)}
    assert target_of(picture, first, root) == "row of accounts (id=42)"
    assert target_of(picture, third, second) == "row of accounts (id=40)"
    found = diagnose(picture, Party(root))
    assert found.cause == "idle_in_transaction"
    assert "test_0 (gw0" in found.explanation
    assert f"pg_terminate_backend({root})" in found.advice


@pytest.mark.usefixtures("accounts")
def test_fan_of_three_on_one_row(database: Database, connect: Connect) -> None:
    holder = connect()
    add(holder, 42)
    waiters = [connect() for _ in range(3)]
    for waiter in waiters:
        blocked(waiter, ADD, [42])
    picture = look(database.dsn)
    assert edges_of(picture) == edges_of_server(database.dsn)
    first, second, third = map(pid, waiters)
    assert roots_of(picture) == {pid(holder): (3, 1)}
    assert kind_of(picture, first, pid(holder)) == "hard"
    assert kind_of(picture, third, second) == "soft"
    assert {edge.lock.target for edge in picture.snapshot.shown_edges} == {"row of accounts (id=42)"}


@pytest.mark.usefixtures("accounts")
def test_alter_table_behind_a_reader_stops_two_selects(database: Database, connect: Connect) -> None:
    reader, alter, *selects = (connect() for _ in range(4))
    reader.execute("SELECT * FROM accounts")
    blocked(alter, "ALTER TABLE accounts ADD COLUMN note text")
    for select in selects:
        blocked(select, "SELECT count(*) FROM accounts")
    picture = look(database.dsn)
    assert edges_of(picture) == {(pid(alter), pid(reader)), *((pid(one), pid(alter)) for one in selects)}
    assert edges_of(picture) == edges_of_server(database.dsn)
    assert roots_of(picture) == {pid(reader): (3, 1)}
    assert kind_of(picture, pid(alter), pid(reader)) == "hard"
    assert {kind_of(picture, pid(one), pid(alter)) for one in selects} == {"soft"}
    assert target_of(picture, pid(alter), pid(reader)) == "table accounts"
    found = diagnose(picture, Party(pid(reader)))
    assert found.cause == "ddl_queue"
    assert "2 more queue behind it" in found.explanation


@pytest.mark.usefixtures("accounts")
def test_the_same_key_inserted_twice(database: Database, connect: Connect) -> None:
    one, other = connect("pytest:gw0 t.py::test_one"), connect("pytest:gw1 t.py::test_other")
    one.execute("INSERT INTO accounts VALUES (7, 'a@test.example.com')")
    blocked(other, "INSERT INTO accounts VALUES (8, 'a@test.example.com')")
    picture = look(database.dsn)
    assert edges_of(picture) == {(pid(other), pid(one))}
    assert target_of(picture, pid(other), pid(one)) == "unique key of accounts (email or id)"
    assert diagnose(picture, Party(pid(one))).cause == "same_key"


@pytest.mark.parametrize(
    ("key", "words"),
    [("-5", "-5"), ("9223372036854775807", "9223372036854775807"), ("3, -4", "(3, -4)")],
)
def test_advisory_locks_as_their_keys_were_given(
    database: Database, connect: Connect, key: str, words: str
) -> None:
    holder, waiter = connect(autocommit=True), connect()
    statement = f"SELECT pg_advisory_lock({key})"
    holder.execute(statement.encode())
    blocked(waiter, statement)
    picture = look(database.dsn)
    assert target_of(picture, pid(waiter), pid(holder)) == f"advisory lock {words}"
    assert diagnose(picture, Party(pid(holder))).cause == "advisory_lock"


@pytest.mark.usefixtures("accounts")
def test_a_prepared_transaction_has_its_gid(database: Database, connect: Connect) -> None:
    preparing, waiter, bystander = connect(), connect(), connect(autocommit=True)
    gid = f"it's {database.name}"
    add(preparing, 42)
    preparing.execute(f"PREPARE TRANSACTION 'it''s {database.name}'".encode())
    other = f"other {database.name}"
    bystander.execute("BEGIN")
    add(bystander, 43)
    bystander.execute(f"PREPARE TRANSACTION '{other}'".encode())
    blocked(waiter, ADD, [42])
    picture = look(database.dsn)
    assert [(edge.waiter.pid, edge.blocker) for edge in picture.snapshot.shown_edges] == [
        (pid(waiter), Party(0, gid))
    ]
    assert target_of(picture, pid(waiter), 0) == "row of accounts (id=42)"
    assert picture.prepared[Party(0, gid)].database == database.name
    assert "ROLLBACK PREPARED 'it''s" in diagnose(picture, Party(0, gid)).advice


@pytest.mark.usefixtures("accounts")
def test_compatible_holders_and_idle_transactions_are_not_accused(
    database: Database, connect: Connect
) -> None:
    writer, innocent, reader, alter = (connect() for _ in range(4))
    add(writer, 42)
    innocent.execute("SELECT 1")
    reader.execute("SELECT 1 FROM accounts")
    blocked(alter, "LOCK TABLE accounts IN SHARE MODE")
    picture = look(database.dsn)
    assert edges_of(picture) == {(pid(alter), pid(writer))} == edges_of_server(database.dsn)


@pytest.mark.usefixtures("accounts")
def test_a_deadlock_is_reported_with_its_bystander(database: Database, connect: Connect) -> None:
    one, other, bystander = connect(), connect(), connect()
    for session in (one, other):
        session.execute("SET LOCAL deadlock_timeout = '60s'")
    add(one, 41)
    add(other, 42)
    blocked(one, ADD, [42])
    blocked(other, ADD, [41])
    blocked(bystander, ADD, [42])
    picture = look(database.dsn)
    cycle = tuple(sorted((Party(pid(one)), Party(pid(other)))))
    assert picture.snapshot.deadlocks == (cycle,)
    assert picture.roots == ()
    assert edges_of(picture) == edges_of_server(database.dsn)
    assert [tree.node for tree in picture.forest] == [cycle[0]]
    found = diagnose(picture, cycle[0])
    assert found.cause == "deadlock"
    assert "row of accounts (id=41)" in found.explanation
    assert "row of accounts (id=42)" in found.explanation


def test_nothing_blocked(database: Database, connect: Connect) -> None:
    connect().execute("SELECT 1")
    picture = look(database.dsn)
    assert picture.snapshot.edges == ()
    assert picture.snapshot.blocked == 0
    assert picture.snapshot.database == database.name


@pytest.mark.usefixtures("accounts")
def test_a_row_without_a_readable_key_is_named_by_its_place(database: Database, connect: Connect) -> None:
    admin = connect(autocommit=True)
    admin.execute('CREATE TABLE "a""b%s" (n int); INSERT INTO "a""b%s" VALUES (1)')
    holder, waiter = connect(), connect()
    holder.execute(b'UPDATE "a""b%s" SET n = 2')
    blocked(waiter, 'UPDATE "a""b%s" SET n = 3')
    picture = look(database.dsn)
    assert target_of(picture, pid(waiter), pid(holder)) == 'row of "a""b%s" (at 0,1)'


def test_names_beyond_ascii_and_two_key_columns(database: Database, connect: Connect) -> None:
    connect(autocommit=True).execute(
        'CREATE SCHEMA "Übung"; CREATE TABLE "Übung"."größe" ("schlüssel" text, n int,'
        ' PRIMARY KEY (n, "schlüssel"));'
        """INSERT INTO "Übung"."größe" VALUES ('ä', 1)"""
    )
    holder, waiter = connect(), connect()
    holder.execute('UPDATE "Übung"."größe" SET n = 2')
    blocked(waiter, 'UPDATE "Übung"."größe" SET n = 3')
    target = target_of(look(database.dsn), pid(waiter), pid(holder))
    assert target == 'row of "Übung"."größe" (n=1, "schlüssel"=ä)'


@pytest.mark.usefixtures("accounts")
def test_names_are_not_waited_for_while_the_table_is_locked(database: Database, connect: Connect) -> None:
    holder, waiter = connect(), connect()
    holder.execute("LOCK TABLE accounts")
    blocked(waiter, "SELECT * FROM accounts")
    picture = look(database.dsn)
    assert target_of(picture, pid(waiter), pid(holder)) == "table accounts"


def test_the_catalog_may_be_locked(database: Database, connect: Connect) -> None:
    holder, waiter = connect(), connect(autocommit=True)
    connect(autocommit=True).execute("CREATE TABLE t ()")
    holder.execute("LOCK TABLE t; LOCK TABLE pg_class")
    # Nobody gets into that database any more, the observer neither.
    blocked(waiter, "SELECT * FROM t", observer=connect(database="postgres", autocommit=True))
    picture = look(database.dsn)
    assert (pid(waiter), pid(holder)) in edges_of(picture)


def test_a_plain_role_sees_the_graph_and_is_told_what_is_hidden(
    server: EmbeddedServer, database: Database, connect: Connect, make_role: MakeRole
) -> None:
    role = make_role()
    holder, waiter = connect("pytest:gw0 t.py::test_holder"), connect()
    holder.execute("SELECT pg_advisory_lock(1)")
    blocked(waiter, "SELECT pg_advisory_lock(1)")
    picture = look(server.dsn(database.name, role))
    assert edges_of(picture) == {(pid(waiter), pid(holder))}
    assert picture.snapshot.hidden_sessions >= 2
    assert picture.sessions[Party(pid(holder))].hidden
    assert picture.who(Party(pid(holder))).startswith("test_holder (gw0")
    assert "isn't visible" in diagnose(picture, Party(pid(holder))).explanation
