"""Deadlocks and waits of a real server's log, in all its formats, joined to tests and to what polls saw."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.locks.model import LockSnapshot, Session
from pgwatch_tests.record.model import DeadlockEvent, DeadlockMember, RecordedSide, Root, WaitEvent
from pgwatch_tests.record.server_log.joining import LogJoin
from pgwatch_tests.record.server_log.lock_messages import LockMessages, LoggedSession, LoggedWait
from pgwatch_tests.record.server_log.log_files import LogSettings, read_server_log
from tests.locks.snapshots import MOMENT, session, snapshot
from tests.servers.server_places import server_directory
from tests.servers.sessions import blocked
from tests.waiting import wait_until

FIRST, SECOND = "pytest:gw0 tests/test_a.py::test_first", "pytest:gw1 tests/test_a.py::test_second"
PREFIXES = ("%m [%p] %q%a ", "%m [%p] ")
_FIRST_WITH_JSON = 15


@dataclass(frozen=True, slots=True)
class Scene:
    """What happened on the server, and its logs by format."""

    logs: dict[str, Path]
    since: datetime
    pids: dict[str, int]
    relation: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Samples, in the order of time."""

    samples: tuple[LockSnapshot, ...] = ()

    def at(self, moment: datetime) -> LockSnapshot | None:
        return next((one for one in reversed(self.samples) if one.sampled_at <= moment), None)

    def after(self, moment: datetime) -> datetime | None:
        return next((one.sampled_at for one in self.samples if one.sampled_at > moment), None)


@pytest.fixture(scope="module")
def scene(
    programs: ServerPrograms, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    major = int(programs.version().split(".")[0])
    formats = ["stderr", "csvlog", *(["jsonlog"] if major >= _FIRST_WITH_JSON else [])]
    settings = {
        "logging_collector": "on",
        "log_destination": ",".join(formats),
        "log_lock_waits": "on",
        "deadlock_timeout": "100ms",
        "log_filename": "pg.log",
        "log_line_prefix": PREFIXES[0],
    }
    with EmbeddedServer(programs, server_directory(), settings, template) as server:
        since = datetime.now(UTC)
        with (
            closing(psycopg.connect(server.dsn(), application_name=FIRST)) as first,
            closing(psycopg.connect(server.dsn(), application_name=SECOND)) as second,
            psycopg.connect(server.dsn(), autocommit=True) as observer,
        ):
            observer.execute("CREATE TABLE users (id int PRIMARY KEY, name text)")
            observer.execute("INSERT INTO users VALUES (1, 'a'), (2, 'b')")
            [(relation,)] = observer.execute("SELECT 'users'::regclass::oid").fetchall()
            pids = {FIRST: first.info.backend_pid, SECOND: second.info.backend_pid}
            _deadlock(first, second)
            _wait(first, second, observer)
        log = server.data_directory / "log"
        suffixes = {"stderr": ".log", "csvlog": ".csv", "jsonlog": ".json"}
        logs = {name: log / f"pg{suffixes[name]}" for name in formats}
        wait_until(lambda: all("acquired" in path.read_text(encoding="utf-8") for path in logs.values()))
        yield Scene(logs, since, pids, int(relation))


def _deadlock(first: Connection[TupleRow], second: Connection[TupleRow]) -> None:
    first.execute("UPDATE users SET name = 'c' WHERE id = 1")
    second.execute("UPDATE users SET name = 'd' WHERE id = 2")
    errors: list[psycopg.Error] = []

    def run(connection: Connection[TupleRow], row: int) -> None:
        try:
            connection.execute(f"UPDATE users\n\tSET name = 'é'\nWHERE id = {row}".encode())
        except psycopg.Error as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=one) for one in ((first, 2), (second, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [error.sqlstate for error in errors] == ["40P01"]
    first.rollback()
    second.rollback()


def _wait(first: Connection[TupleRow], second: Connection[TupleRow], observer: Connection[TupleRow]) -> None:
    first.execute("LOCK users")
    waiting = blocked(second, "SELECT count(*) FROM users", observer=observer)
    time.sleep(0.2)  # longer than deadlock_timeout, so that the server tells it
    first.commit()
    waiting.result()
    second.commit()


def sides(scene: Scene) -> tuple[Session, ...]:
    return tuple(
        replace(session(pid), application_name=name, backend_start=MOMENT, database="postgres")
        for name, pid in scene.pids.items()
    )


@pytest.mark.parametrize("form", ["stderr", "csvlog", "jsonlog"])
def test_each_format_tells_both_sides_by_their_tests(scene: Scene, form: str) -> None:
    if form not in scene.logs:
        assert form == "jsonlog"
        return
    log = read_server_log(scene.logs[form], scene.since, settings=LogSettings(PREFIXES[0], "UTC"))
    assert not log.remarks
    relations = {scene.relation: "users"}
    # Whoever has logged nothing itself is known from samples.
    moments = [one.at for one in log.messages.deadlocks] + [one.began for one in log.messages.waits]
    taken = Taken(tuple(replace(snapshot((), sides(scene)), sampled_at=at) for at in sorted(moments)))
    joined = LogJoin(log.messages, taken, relations=lambda _database, oid: relations.get(oid, "")).join(
        (), ()
    )
    [deadlock] = joined.deadlocks
    assert deadlock.source == "server log"
    assert {member.side.who for member in deadlock.members} == {
        "tests/test_a.py::test_first",
        "tests/test_a.py::test_second",
    }
    assert deadlock.victim == deadlock.members[0].side.who
    assert {member.side.statement for member in deadlock.members} == {
        f"UPDATE users\n\tSET name = 'é'\nWHERE id = {row}" for row in (1, 2)
    }
    wait = joined.waits[-1]
    assert (wait.waiter.test, wait.target, wait.mode) == (
        "tests/test_a.py::test_second",
        "table users",
        "ACCESS SHARE",
    )
    assert [one.who for one in wait.blockers] == ["tests/test_a.py::test_first"]
    assert [root.side.pid for root in wait.roots] == [scene.pids[FIRST]]
    assert 0.2 <= wait.waited_s < 30
    assert wait.ended is not None
    assert abs((wait.ended - wait.began).total_seconds() - wait.waited_s) < 0.1
    assert wait.waiter.statement == "SELECT count(*) FROM users"


def test_log_without_names_is_joined_by_pid_and_time(scene: Scene, tmp_path: Path) -> None:
    # The same log, as a prefix without the application's name has it.
    text = scene.logs["stderr"].read_text(encoding="utf-8")
    bare = tmp_path / "pg.log"
    for name in (FIRST, SECOND):
        text = text.replace(f"] {name} ", "] ")
    bare.write_text(text, encoding="utf-8")
    messages = read_server_log(bare, scene.since, settings=LogSettings(PREFIXES[1])).messages
    assert {wait.waiter.name for wait in messages.waits} == {""}
    nobody = LogJoin(messages, None).join((), ())
    assert {member.side.who for member in nobody.deadlocks[0].members} == {
        f"pid {pid}" for pid in scene.pids.values()
    }
    at = nobody.deadlocks[0].at
    meanwhile = replace(snapshot((), sides(scene)), sampled_at=at - timedelta(milliseconds=20))
    seen = LogJoin(messages, Taken((meanwhile,))).join((), ())
    assert {member.side.test for member in seen.deadlocks[0].members} == {
        "tests/test_a.py::test_first",
        "tests/test_a.py::test_second",
    }


def test_samples_around_a_wait_have_to_agree() -> None:
    wait = LoggedWait(
        LoggedSession(2),
        MOMENT,
        MOMENT + timedelta(seconds=1),
        1.0,
        "ShareLock",
        "transaction 7",
        "",
        (1,),
        True,
    )

    def who(*samples: LockSnapshot) -> str:
        [found] = LogJoin(LockMessages([wait]), Taken(samples)).join((), ()).waits
        return found.waiter.who

    before = snapshot((), (session(2, "pytest:gw0 test_a"),), after_s=-0.5)
    same = snapshot((), (session(2, "pytest:gw0 test_a"),), after_s=1.5)
    other = snapshot((), (session(2, "pytest:gw0 test_b"),), after_s=1.5)
    late = snapshot((), (session(2, "pytest:gw0 test_c"),), after_s=9.0)
    meanwhile = snapshot((), (session(2, "pytest:gw0 test_d"),), after_s=0.5)
    assert who(before, same) == "test_a"
    assert who(before, other) == "pid 2"
    assert who(before, late) == "test_a"
    assert who(late) == "pid 2"
    assert who(before, meanwhile, other) == "test_d"


def test_prepared_transaction_is_no_session() -> None:
    end = MOMENT + timedelta(seconds=1)
    wait = LoggedWait(LoggedSession(2), MOMENT, end, 1.0, "ShareLock", "transaction 7", "", (0,), True)
    [found] = LogJoin(LockMessages([wait]), Taken()).join((), ()).waits
    assert [one.who for one in found.blockers] == ["a prepared transaction"]


def recorded(pid: int) -> RecordedSide:
    return RecordedSide(pid, f"test_{pid}", test=f"test_{pid}", statement="old")


def test_what_polls_saw_is_made_exact_and_not_counted_twice() -> None:
    seen = WaitEvent(
        number=4,
        server=1,
        began=MOMENT + timedelta(seconds=0.2),
        ended=MOMENT + timedelta(seconds=1.1),
        waited_s=0.9,
        waiter=recorded(2),
        blockers=(recorded(1),),
        more_blockers=0,
        roots=(Root(recorded(1), 0.9),),
        lock="tuple",
        mode="EXCLUSIVE",
        held_mode="",
        target="row of users (id=1)",
        object="row of users",
        cause="same_row",
        explanation="Both.",
        advice="Don't.",
    )
    later = replace(seen, number=5, began=MOMENT + timedelta(seconds=60), ended=None)
    logged = LoggedWait(
        LoggedSession(2, statement="UPDATE users"), MOMENT, MOMENT + timedelta(seconds=1), 1.0, "ShareLock",
        "transaction 7", "", (1,), True,
    )  # fmt: skip
    joined = LogJoin(LockMessages([logged]), None).join((seen, later), ())
    first, second = joined.waits
    assert (first.number, first.began, first.waited_s) == (4, MOMENT, 1.0)
    assert (first.target, first.cause, first.waiter.statement) == (
        "row of users (id=1)",
        "same_row",
        "UPDATE users",
    )
    assert first.roots[0].blocked_s == pytest.approx(1.0)
    assert second == later
    # A wait of another server, with the same pid at the same time, is another one.
    elsewhere = LogJoin(LockMessages([logged]), None, server=2).join((seen,), ())
    assert len(elsewhere.waits) == 2


def test_deadlock_that_polls_saw_gets_its_victim_and_statements(scene: Scene) -> None:
    messages = read_server_log(scene.logs["csvlog"], scene.since).messages
    [logged] = messages.deadlocks
    polled = DeadlockEvent(
        logged.at - timedelta(milliseconds=30),
        1,
        tuple(
            DeadlockMember(recorded(pid), "row of users (id=1)", "row of users", "EXCLUSIVE")
            for pid in scene.pids.values()
        ),
        "",
        "Deadlock: both.",
        "Lock in the same order.",
    )
    another = replace(polled, at=polled.at - timedelta(minutes=5))
    joined = LogJoin(messages, None).join((), (another, polled))
    assert [one.source for one in joined.deadlocks] == ["polls", "server log"]
    exact = joined.deadlocks[1]
    assert exact.victim == f"test_{logged.members[0].session.pid}"
    assert (exact.explanation, exact.advice) == (polled.explanation, polled.advice)
    assert {member.target for member in exact.members} == {"row of users (id=1)"}
    assert all(member.side.statement.startswith("UPDATE users") for member in exact.members)
