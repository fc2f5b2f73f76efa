"""The lock tree as a superuser, as a role with pg_monitor, and as a plain role."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party
from pgwatch_tests.reports.locks import lock_tree
from pgwatch_tests.reports.locks.formats import lock_csv, lock_json
from tests.cli.running import pgwatch
from tests.locks.looking import edges_of, edges_of_server, look, target_of
from tests.servers.sessions import Connect, Database, MakeRole, blocked

Sessions = tuple[Connection[TupleRow], Connection[TupleRow], Connection[TupleRow]]


@pytest.fixture
def sessions(connect: Connect) -> Sessions:
    """A holder, a waiter, and one that has nothing to do with it."""
    admin = connect(autocommit=True)
    admin.execute("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (42)")
    admin.close()
    holder, waiter = connect("pytest:gw0 t.py::test_holder"), connect("pytest:gw1 t.py::test_waiter")
    bystander = connect("psql")
    bystander.execute("SELECT 1")
    holder.execute("UPDATE t SET n = 1 /* holder's */")
    blocked(waiter, "UPDATE t SET n = 2 /* waiter's */")
    return holder, waiter, bystander


def pids(sessions: Sessions) -> tuple[int, int]:
    holder, waiter, _ = sessions
    return waiter.info.backend_pid, holder.info.backend_pid


def hidden_in_header(graph: LockGraph) -> str:
    return lock_tree.header(graph.snapshot).partition("1 blocked")[2]


@pytest.mark.parametrize("options", ["superuser", "pg_monitor"])
def test_who_may_see_everything(
    options: str, server: EmbeddedServer, database: Database, sessions: Sessions, make_role: MakeRole
) -> None:
    user = "postgres" if options == "superuser" else make_role("IN ROLE pg_monitor")
    graph = look(server.dsn(database.name, user))
    waiter, holder = pids(sessions)
    assert edges_of(graph) == {(waiter, holder)}
    assert graph.snapshot.hidden_sessions == 0
    assert hidden_in_header(graph) == ""
    assert len(graph.snapshot.clients) == 3
    text = lock_tree.text(graph.snapshot)
    assert f"pid {holder}  gw0 t.py::test_holder  idle in transaction for" in text
    assert "last query: UPDATE t SET n = 1 /* holder's */" in text
    # Names of rows are another privilege.
    assert target_of(graph, waiter, holder) == (
        "row of t (id=42)" if options == "superuser" else "row of t (at 0,1)"
    )


def test_a_plain_role(
    server: EmbeddedServer, database: Database, sessions: Sessions, make_role: MakeRole
) -> None:
    graph = look(server.dsn(database.name, make_role()))
    waiter, holder = pids(sessions)
    # Who waits for whom is the same, and for how long.
    assert edges_of(graph) == edges_of_server(database.dsn) == {(waiter, holder)}
    assert graph.longest_wait_s(Party(holder)) > 0
    # The server's own processes are neither clients nor hidden sessions.
    assert len(graph.snapshot.clients) == graph.snapshot.hidden_sessions == 3
    assert hidden_in_header(graph) == " · 3 hidden (GRANT pg_monitor shows them)"
    text = lock_tree.text(graph.snapshot)
    assert f"pid {holder}  gw0 t.py::test_holder  hidden\n" in text
    assert f"pid {waiter}  gw1 t.py::test_waiter  waits" in text
    assert "in a state that isn't visible to this role" in " ".join(text.split()).replace("│ ", "")
    assert "query:" not in text
    assert "insufficient privilege" not in text + lock_csv.document(graph.snapshot)
    document = json.loads(lock_json.document(graph.snapshot))
    assert document["hidden_sessions"] == 3
    assert [(one["state"], one["query"], one["xact_age_s"]) for one in document["sessions"]] == [
        (None, None, None)
    ] * 2
    assert {one["test"] for one in document["sessions"]} == {"t.py::test_holder", "t.py::test_waiter"}


def test_a_plain_role_sees_its_own_sessions(
    server: EmbeddedServer, database: Database, connect: Connect, sessions: Sessions, make_role: MakeRole
) -> None:
    role = make_role()
    own = connect("own", user=role)
    own.execute("SELECT 'own'")
    graph = look(server.dsn(database.name, role))
    assert graph.snapshot.hidden_sessions == 3
    assert len(graph.snapshot.clients) == 4
    assert graph.sessions[Party(own.info.backend_pid)].query == "SELECT 'own'"
    del sessions


@pytest.mark.parametrize("options", ["", "IN ROLE pg_monitor"])
def test_the_gate_needs_no_privilege(
    options: str,
    server: EmbeddedServer,
    database: Database,
    sessions: Sessions,
    make_role: MakeRole,
    tmp_path: Path,
) -> None:
    role = make_role("IN ROLE pg_monitor") if options else make_role()
    dsn = server.dsn(database.name, role)
    done = pgwatch(tmp_path, "locks", "--fail", "--min-wait", "100ms", "--dsn", dsn)
    assert done.returncode == 1, done.stderr
    assert os.linesep in done.stdout
    assert f"pid {pids(sessions)[1]}" in done.stdout
