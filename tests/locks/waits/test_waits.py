"""What is said of waits on a real server: sentences, names, and what is hidden. Who waits: the scenarios."""

from __future__ import annotations

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.model import Party
from pgwatch_tests.reports.locks import lock_tree
from tests.locks.looking import edges_of, look, target_of
from tests.locks.scenarios import deadlocks, prepared, rows, tables
from tests.locks.scenarios.cast import Cast, Session
from tests.servers.sessions import Connect, Database, MakeRole, blocked


def pid(session: Session) -> int:
    return session.info.backend_pid


def test_an_idle_transaction_is_named_with_its_test(cast: Cast) -> None:
    rows.chain_behind_an_idle_transaction.play(cast)
    root = cast.party("root")
    found = diagnose(look(cast.dsn), root)
    assert "test_root (gw0" in found.explanation
    assert f"pg_terminate_backend({root.pid})" in found.advice


def test_a_queue_behind_a_statement_is_counted(cast: Cast) -> None:
    tables.queue_behind_alter.play(cast)
    found = diagnose(look(cast.dsn), cast.party("reader"))
    assert "2 more queue behind that" in found.explanation


def test_a_prepared_transaction_has_its_gid_and_its_database(cast: Cast) -> None:
    prepared.prepared_transaction_in_another_database.play(cast)
    graph, party = look(cast.dsn), cast.party("prepared")
    database = graph.prepared[party].database
    assert database == graph.sessions[cast.party("waiter")].database
    assert database not in (None, cast.database)
    assert "ROLLBACK PREPARED 'it''s" in diagnose(graph, party).advice


def test_a_deadlock_is_told_step_by_step(cast: Cast) -> None:
    deadlocks.deadlock_of_two_with_a_bystander.play(cast)
    graph = look(cast.dsn)
    [cycle] = graph.snapshot.deadlocks
    assert [tree.node for tree in graph.trees] == [cycle[0]]
    found = diagnose(graph, cycle[0])
    assert "row of accounts (id=41)" in found.explanation
    assert "row of accounts (id=42)" in found.explanation


def test_sessions_have_the_names_of_their_databases(cast: Cast) -> None:
    tables.table_of_a_shared_catalog_locked_in_another_database.play(cast)
    sessions = look(cast.dsn).sessions
    assert sessions[cast.party("holder")].database == "postgres"
    assert sessions[cast.party("waiter")].database == cast.database


def test_who_else_has_locked_the_row_is_said(cast: Cast) -> None:
    rows.row_shared_by_two_and_written_by_a_third.play(cast)
    graph, other = look(cast.dsn), cast.party("other")
    words = f"test_other (gw1, pid {other.pid})"
    assert f"(also locked by {words})" in lock_tree.text(graph.snapshot)
    [fact] = lock_tree.lock_facts(graph, cast.party("writer"))
    assert fact.endswith(f"also locked by {words}")


def test_nothing_blocked(database: Database, connect: Connect) -> None:
    connect().execute("SELECT 1")
    graph = look(database.dsn)
    assert graph.snapshot.edges == ()
    assert graph.snapshot.blocked == 0
    assert graph.snapshot.database == database.name


def test_a_row_without_a_readable_key_is_named_by_its_place(database: Database, connect: Connect) -> None:
    admin = connect(autocommit=True)
    admin.execute('CREATE TABLE "a""b%s" (n int); INSERT INTO "a""b%s" VALUES (1)')
    holder, waiter = connect(), connect()
    holder.execute(b'UPDATE "a""b%s" SET n = 2')
    blocked(waiter, 'UPDATE "a""b%s" SET n = 3')
    graph = look(database.dsn)
    assert target_of(graph, pid(waiter), pid(holder)) == 'row of "a""b%s" (at 0,1)'


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


def test_the_catalog_may_be_locked(database: Database, connect: Connect) -> None:
    holder, waiter = connect(), connect(autocommit=True)
    connect(autocommit=True).execute("CREATE TABLE t ()")
    holder.execute("LOCK TABLE t; LOCK TABLE pg_class")
    # Nobody gets into that database any more, the observer neither.
    blocked(waiter, "SELECT * FROM t", observer=connect(database="postgres", autocommit=True))
    graph = look(database.dsn)
    assert (pid(waiter), pid(holder)) in edges_of(graph)


def test_a_plain_role_sees_the_graph_and_is_told_what_is_hidden(
    server: EmbeddedServer, database: Database, connect: Connect, make_role: MakeRole
) -> None:
    role = make_role()
    holder, waiter = connect("pytest:gw0 t.py::test_holder"), connect()
    holder.execute("SELECT pg_advisory_lock(1)")
    blocked(waiter, "SELECT pg_advisory_lock(1)")
    graph = look(server.dsn(database.name, role))
    assert edges_of(graph) == {(pid(waiter), pid(holder))}
    assert graph.snapshot.hidden_sessions >= 2
    assert graph.sessions[Party(pid(holder))].hidden
    assert graph.who(Party(pid(holder))).startswith("test_holder (gw0")
    assert "isn't visible" in diagnose(graph, Party(pid(holder))).explanation
