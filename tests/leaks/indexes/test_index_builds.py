"""Indexes made and dropped beside tests: who wants the table gets it, and is no victim of a deadlock."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import CannotConnectError
from pgwatch_tests.leaks.indexes import index_builds
from pgwatch_tests.leaks.indexes.index_model import IndexOutcome
from pgwatch_tests.leaks.indexes.indexes import LeakIndexes
from tests.leaks.scanning import settings
from tests.servers.sessions import Connect, Database, MakeRole, RunningStatement, is_waiting
from tests.waiting import PATIENCE_S, wait_until

WANTS_TABLE = ("TRUNCATE users", "ALTER TABLE users ADD COLUMN more int", "LOCK TABLE users IN SHARE MODE")


@pytest.fixture
def users(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """A table with rows of tests."""
    owner.execute("CREATE TABLE users (id int PRIMARY KEY, email text)")
    owner.execute("INSERT INTO users SELECT n, 'a@test.example.com' FROM generate_series(1, 100) AS n")
    return owner


class InBackground:
    """Work in a thread of its own."""

    def __init__(self, work: Callable[[], list[IndexOutcome]]) -> None:
        self._work = work
        self._done: list[IndexOutcome] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> list[IndexOutcome]:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self._done

    def _run(self) -> None:
        self._done = self._work()


def create(dsn: str) -> list[IndexOutcome]:
    with LeakIndexes(settings(dsn)) as indexes:
        return list(indexes.create(indexes.plan(["public.users"], 0)))


def drop(dsn: str) -> list[IndexOutcome]:
    with LeakIndexes(settings(dsn)) as indexes:
        return list(indexes.drop(indexes.list()))


def wait_for_ours(owner: Connection[TupleRow], statement: str) -> None:
    query = (
        "SELECT 1 FROM pg_stat_activity AS activity JOIN pg_locks AS lock USING (pid)"
        " WHERE application_name = 'pgwatch-tests' AND NOT lock.granted AND lock.locktype = 'virtualxid'"
        " AND activity.datname = current_database() AND query LIKE %s"
    )
    wait_until(lambda: owner.execute(query, [f"{statement} INDEX CONCURRENTLY%"]).fetchone())


def index_names(owner: Connection[TupleRow]) -> list[str]:
    found = owner.execute("SELECT relname FROM pg_class WHERE relname LIKE 'pgwatch\\_leak%' ORDER BY 1")
    return [str(name) for (name,) in found]


@pytest.mark.parametrize("statement", WANTS_TABLE)
@pytest.mark.parametrize("work", [create, drop])
def test_who_wants_the_table_gets_it(
    users: Connection[TupleRow],
    database: Database,
    connect: Connect,
    statement: str,
    work: Callable[[str], list[IndexOutcome]],
) -> None:
    if work is drop:
        create(database.dsn)
    earlier, test = connect(), connect("pytest:gw0 t.py::test_truncates")
    earlier.execute("UPDATE users SET email = 'b' WHERE id = 1")
    ours = InBackground(lambda: work(database.dsn))
    wait_for_ours(users, "CREATE" if work is create else "DROP")

    wants = RunningStatement(test, statement, ())
    wait_until(lambda: is_waiting(users, wants.pid))
    earlier.commit()
    wants.result(timeout_s=5)  # its error, were it a victim
    test.commit()

    [outcome] = ours.result()
    # Of a table that has just been emptied, the planner may think otherwise.
    assert outcome.result in (("made", "unused") if work is create else ("dropped",)), outcome
    assert len(index_names(users)) == (1 if work is create else 0)
    if outcome.result == "made":
        assert "after giving way" in outcome.detail


def test_a_table_that_is_always_wanted_gets_none(
    users: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_builds, "_ATTEMPTS", 1)
    earlier, test = connect(), connect("pytest:gw0 t.py::test_truncates")
    earlier.execute("UPDATE users SET email = 'b' WHERE id = 1")
    ours = InBackground(lambda: create(database.dsn))
    wait_for_ours(users, "CREATE")
    wants = RunningStatement(test, "TRUNCATE users", ())
    wait_until(lambda: is_waiting(users, wants.pid))
    earlier.rollback()
    wants.result()
    test.rollback()

    [outcome] = ours.result()
    assert outcome.result == "failed"
    # Ours is cancelled by the lookout, or by the server as the victim of a deadlock: then it names nobody.
    assert "gave way each time: " in outcome.detail
    assert index_names(users) == []


def test_the_role_that_may_is_the_victim_itself(
    users: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody is seen to wait: the deadlock comes, and ends ours.
    monkeypatch.setattr(index_builds, "_LOOK_EVERY_S", 60.0)
    earlier, test = connect(), connect()
    earlier.execute("UPDATE users SET email = 'b' WHERE id = 1")
    ours = InBackground(lambda: create(database.dsn))
    wait_for_ours(users, "CREATE")
    wants = RunningStatement(test, "TRUNCATE users", ())
    wait_until(lambda: is_waiting(users, wants.pid))
    earlier.commit()

    wants.result(timeout_s=5)
    test.commit()
    [outcome] = ours.result()
    assert outcome.result in ("made", "unused")


def test_an_index_of_somebody_else_under_our_name_stays(
    users: Connection[TupleRow], database: Database
) -> None:
    with LeakIndexes(settings(database.dsn)) as indexes:
        [planned] = indexes.plan(["public.users"], 0).planned
    users.execute(sql.SQL("CREATE INDEX {} ON users (id) WHERE id > 0").format(sql.Identifier(planned.name)))

    with LeakIndexes(settings(database.dsn)) as indexes:
        assert indexes.list() == ()
        [outcome] = indexes.create(indexes.plan(["public.users"], 0))
        assert list(indexes.drop(indexes.list())) == []

    assert outcome.result == "failed"
    assert "already exists" in outcome.detail
    assert index_names(users) == [planned.name]


def test_without_a_second_connection_nothing_is_made(
    server: EmbeddedServer, users: Connection[TupleRow], database: Database, make_role: MakeRole
) -> None:
    role = make_role("CONNECTION LIMIT 1")
    users.execute(sql.SQL("ALTER TABLE users OWNER TO {}").format(sql.Identifier(role)))
    users.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(role)))

    with pytest.raises(CannotConnectError, match="takes a second connection"):
        create(server.dsn(database.name, role))

    assert index_names(users) == []


def test_an_index_that_cant_be_dropped_says_why(
    users: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(database.dsn)
    monkeypatch.setattr(index_builds, "PATIENCE_S", 0.3)
    reader = connect()
    reader.execute("SELECT FROM users LIMIT 1")

    [outcome] = drop(database.dsn)

    assert outcome.result == "failed"
    assert "a transaction that began before is still open" in outcome.detail
    # Nobody else had to wait for it.
    reader.execute("SET lock_timeout = '1s'")
    with pytest.raises(errors.LockNotAvailable):
        users.execute("SET lock_timeout = '10ms'; LOCK TABLE users")
    reader.rollback()
    assert [one.result for one in drop(database.dsn)] == ["dropped"]
