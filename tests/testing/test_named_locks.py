"""Named locks: one holder at a time, or several that share it, whatever database their tests are in."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import CannotConnectError, ConnectionLostError, RefusedError
from pgwatch_tests.identity.lease_names import LEASE_KEY, hashtext, lock_lease
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.testing import named_locks
from pgwatch_tests.testing.current_test import Owner, running, track_threads_and_tasks
from pgwatch_tests.testing.named_locks import DATABASE_VARIABLE, LockRequest, NamedLockError, NamedLocks, lock
from tests.leaks.scanning import settings
from tests.servers.poolers import pooler
from tests.servers.sessions import Database, unique_name
from tests.waiting import PATIENCE_S, wait_until

HELD = """
    SELECT application_name, state, datname, query FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND classid = 1885828980 AND objid::bigint = hashtext(%s)::bigint & 4294967295
"""


@pytest.fixture
def name() -> str:
    return unique_name("lock").replace("_", "-")


@pytest.fixture
def waiting(owner: Connection[TupleRow], name: str) -> Callable[[], bool]:
    """Whether somebody waits for the lock of the test."""
    query = f"{HELD} AND NOT granted"
    return lambda: owner.execute(query, [lock_lease(name)]).rowcount > 0


def test_the_numbers_are_those_of_the_server(owner: Connection[TupleRow]) -> None:
    for length in range(1, 64):
        text = lock_lease(("aB9._:/-" * 8)[:length])
        assert owner.execute("SELECT hashtext(%s)", [text]).fetchone() == (hashtext(text),)


@pytest.mark.parametrize("wrong", ["", "a b", "a'b", "ä", "-a", "a" * 64, "a\n"])
def test_a_name_that_other_languages_couldnt_write(wrong: str) -> None:
    with pytest.raises(ValueError, match="the name of a lock is 1 to 63 letters"):
        lock(wrong)
    with pytest.raises(ValueError, match="takes the name of a lock"):
        lock()


def test_its_holder_is_alone_and_named(
    owner: Connection[TupleRow], database: Database, name: str, waiting: Callable[[], bool]
) -> None:
    holder = Owner("test", "tests/a.py::test_mail", "gw1")
    with running(holder), lock(name, dsn=database.dsn):
        (row,) = owner.execute(HELD, [lock_lease(name)]).fetchall()
        assert row[:3] == ("pytest:gw1 tests/a.py::test_mail", "idle", "postgres")
        assert f"hashtext('lock:{name}')" in row[3]

        def take_too() -> None:
            with lock(name, dsn=database.dsn, timeout_s=0.3):
                pass

        with pytest.raises(NamedLockError) as failed:
            threaded(Owner("test", "tests/a.py::test_other"), take_too)
        assert str(failed.value).startswith(
            f"waited 0.3 s for the named lock {name}: tests/a.py::test_mail (gw1, pid "
        )
        assert str(failed.value).endswith(") holds it")
    assert owner.execute(HELD, [lock_lease(name)]).rowcount == 0
    assert named_locks._sessions == []


def threaded(owner: Owner, call: Callable[[], None]) -> None:
    """Calls it in a thread that works for another test. Raises what it raises."""
    errors = list[BaseException]()

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    undo = track_threads_and_tasks()
    try:
        thread = threading.Thread(target=run)
        with running(owner):
            thread.start()
        thread.join()
    finally:
        undo()
    if errors:
        raise errors[0]


def test_those_who_share_it_hold_it_together(
    owner: Connection[TupleRow], database: Database, name: str, waiting: Callable[[], bool]
) -> None:
    done = threading.Event()

    def take_alone() -> None:
        with lock(name, dsn=database.dsn):
            done.set()

    alone = threading.Thread(target=take_alone)
    with lock(name, shared=True, dsn=database.dsn):
        threaded(
            Owner("test", "b"), lambda: lock(name, shared=True, dsn=database.dsn).__enter__().__exit__(None)
        )
        alone.start()
        wait_until(waiting)
        assert not done.is_set()
    alone.join(PATIENCE_S)
    assert done.is_set()


def test_several_are_taken_in_one_order(database: Database, name: str, owner: Connection[TupleRow]) -> None:
    names = [f"{name}{number}" for number in range(5)]
    orders = [NamedLocks(lock(*some)._requests)._requests for some in (names, names[::-1])]
    assert orders[0] == orders[1]
    assert [one.place for one in orders[0]] == sorted(one.place for one in orders[0])
    with lock(*names, names[0], dsn=database.dsn):
        (query,) = {row[3] for one in names for row in owner.execute(HELD, [lock_lease(one)])}
        assert all(f"'lock:{one}'" in query for one in names)


def test_whoever_holds_it_is_told_that_it_would_wait_for_itself(database: Database, name: str) -> None:
    with lock(name, dsn=database.dsn):
        with pytest.raises(NamedLockError, match="already, so it would wait for itself"):
            lock(name, shared=True, dsn=database.dsn).__enter__()
        # A second one goes on the same connection, where the server sees deadlocks.
        with lock(f"{name}-2", dsn=database.dsn):
            assert len(named_locks._sessions) == 1
        assert len(named_locks._sessions) == 1


def test_threads_and_forked_processes_of_one_test_take_turns(
    database: Database, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take() -> None:
        with pytest.raises(NamedLockError, match=r"^waited 0.1 s"):
            lock(name, dsn=database.dsn, timeout_s=0.1).__enter__()

    owner = Owner("test", "a")
    with running(owner), lock(name, dsn=database.dsn):
        threaded(owner, take)
        with lock(name, dsn=database.dsn, database=database.name):
            pass
        # The fork of a process has its parent's threads and sessions, and must leave them alone.
        with monkeypatch.context() as forked:
            forked.setattr(os, "getpid", lambda: 1)
            take()
            with lock(f"{name}-2", dsn=database.dsn):
                assert len(named_locks._sessions) == 2
    assert named_locks._sessions == []
    assert named_locks._held == []


def test_who_shares_it_holds_it_until_the_last_has_freed_it(database: Database, name: str) -> None:
    shared = [NamedLocks([LockRequest(name, shared=True)], dsn=database.dsn, whole_process=True)]
    shared.append(lock(name, shared=True, dsn=database.dsn))
    threaded(Owner("test", "b"), lambda: shared[1].__enter__().check())
    with shared[0]:
        shared[1].__exit__(None)
        with pytest.raises(NamedLockError, match="would wait for itself"):
            lock(name, dsn=database.dsn).__enter__()


def test_nested_ones_in_opposite_orders_are_a_deadlock_that_is_told(
    database: Database, name: str, waiting: Callable[[], bool]
) -> None:
    other, errors = f"{name}-2", list[Exception]()

    def reverse() -> None:
        try:
            with lock(other, dsn=database.dsn):
                holds.set()
                with lock(name, dsn=database.dsn):
                    pass
        except NamedLockError as error:
            errors.append(error)

    holds, thread = threading.Event(), threading.Thread(target=reverse)
    with lock(name, dsn=database.dsn):
        thread.start()
        holds.wait()
        wait_until(waiting)
        try:
            with lock(other, dsn=database.dsn):
                pass
        except NamedLockError as error:
            errors.append(error)
    thread.join()
    assert len(errors) == 1
    assert "a deadlock: this test holds " in str(errors[0])


async def test_tasks_take_turns_and_the_loop_goes_on(database: Database, name: str) -> None:
    inside = 0

    async def take() -> None:
        nonlocal inside
        async with lock(name, dsn=database.dsn):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    async with asyncio.timeout(20):
        await asyncio.gather(*(take() for _ in range(5)))
    assert named_locks._sessions == []


async def test_a_task_that_is_cancelled_waits_no_longer(
    database: Database, name: str, waiting: Callable[[], bool]
) -> None:
    async def take() -> None:
        async with lock(name, dsn=database.dsn):
            pass

    async with lock(name, dsn=database.dsn):
        task = asyncio.create_task(take())
        await asyncio.to_thread(wait_until, waiting)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not waiting()
        assert len(named_locks._sessions) == 1
    assert named_locks._sessions == []


def test_who_holds_it_and_is_killed_frees_it(python: str, database: Database, name: str) -> None:
    code = f"""
import time
from pgwatch_tests.testing import lock
with lock({name!r}, dsn={database.dsn!r}):
    print("holds it", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([python, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holds it\n"
    with pytest.raises(NamedLockError, match=r"test_who_holds_it_and_is_killed.* \(.*pid \d+\) holds it"):
        lock(name, dsn=database.dsn, timeout_s=0.1).__enter__()
    os.kill(holder.pid, signal.SIGKILL)
    with lock(name, dsn=database.dsn, timeout_s=10):
        pass
    holder.communicate()


def test_other_languages_hold_it_too(server: EmbeddedServer, database: Database, name: str) -> None:
    with psycopg.connect(
        server.dsn("postgres"), autocommit=True, application_name="vitest:1 a.test.ts"
    ) as other:
        number = sql.Literal(f"lock:{name}")
        other.execute(sql.SQL("SELECT pg_advisory_lock(1885828980, hashtext({}))").format(number))
        with pytest.raises(NamedLockError, match=r"a\.test\.ts \(vitest:1, pid \d+\) holds it"):
            lock(name, dsn=database.dsn, timeout_s=0.1).__enter__()
    assert LEASE_KEY == 1885828980


def test_a_lost_lock_is_told(owner: Connection[TupleRow], database: Database, name: str) -> None:
    def lose() -> None:
        with lock(name, dsn=database.dsn) as held:
            held.check()
            assert held._session is not None
            pid = held._session.connection.info.backend_pid
            owner.execute("SELECT pg_terminate_backend(%s)", [pid])
            wait_until(
                lambda: owner.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).rowcount == 0
            )
            with pytest.raises(ConnectionLostError, match="went with the connection"):
                held.check()

    with pytest.raises(ConnectionLostError, match=f"the named lock {name} went with the connection"):
        lose()
    assert named_locks._sessions == []


def test_it_is_no_leftover_of_the_suite(server: EmbeddedServer, database: Database, name: str) -> None:
    with lock(name, dsn=database.dsn, database=database.name):
        report = scan(settings(database.dsn), kinds=("idle_in_transaction", "advisory_lock"))
    assert report.leftovers == ()


def test_another_database_can_hold_them(
    database: Database, name: str, monkeypatch: pytest.MonkeyPatch, owner: Connection[TupleRow]
) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, database.name)
    with lock(name, dsn=database.dsn):
        assert owner.execute(HELD, [lock_lease(name)]).fetchall()[0][2] == database.name
    monkeypatch.setenv(DATABASE_VARIABLE, "test_nowhere")
    with pytest.raises(
        CannotConnectError, match=r"Named locks are in the database 'test_nowhere'.*PGWATCH_LOCK"
    ):
        lock(name, dsn=database.dsn).__enter__()


def test_a_pooler_is_refused(server: EmbeddedServer, database: Database, name: str) -> None:
    with (
        pooler(server, "transaction") as started,
        pytest.raises(RefusedError, match="a named lock needs a session of its own, but a connection pooler"),
    ):
        lock(name, dsn=started.dsn(database.name)).__enter__()
