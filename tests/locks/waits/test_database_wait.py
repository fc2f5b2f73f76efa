"""Who keeps a database from being dropped: told with all that is known, and nobody is accused for nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.diagnosis.evidence import Diagnosis
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Edge, LockTag, Party, Session, Subject
from pgwatch_tests.locks.waits.database_wait import is_forced
from pgwatch_tests.reports.locks import lock_tree
from pgwatch_tests.reports.locks.formats import lock_csv, lock_json
from tests.locks.actions.acting import DsnAs, do, pid, seen
from tests.locks.looking import look
from tests.locks.scenarios.cast import Cast
from tests.locks.snapshots import edge, session, snapshot

OF_DATABASE = LockTag("object", 0, classid=1262, objid=9)


def connected(waiter: int, blocker: int, gid: str = "") -> Edge:
    found = edge(
        waiter,
        blocker,
        "connected",
        target="database shop",
        mode="AccessExclusiveLock",
        tag=OF_DATABASE,
        subject=Subject("database", 9),
        gid=gid,
    )
    return replace(found, wait=None)


def told(
    *sessions: Session, statement: str = "DROP DATABASE shop", edges: tuple[Edge, ...] = ()
) -> Diagnosis:
    dropping = session(5, "pytest main", query=statement)
    shot = snapshot(edges or (connected(5, 1),), (*sessions, dropping))
    return diagnose(LockGraph(shot), Party(1))


def test_who_is_connected_is_told_with_user_client_and_state() -> None:
    worker = replace(session(1, "background worker", "idle"), user="app", client="10.0.0.7:5123")
    found = told(worker)
    assert found.cause == "connected_to_database"
    assert found.explanation == (
        "DROP DATABASE by pytest main (pid 5) has waited 1.0 s for everybody else to leave database shop: "
        "background worker (pid 1) is connected to it as app from 10.0.0.7:5123, idle for 2.0 s. "
        'After 5 s the server gives up: "is being accessed by other users".'
    )
    assert found.advice == (
        "Close that session, its pool or its thread in the fixture's clean-up, before this. To unblock now, "
        "end its session (SELECT pg_terminate_backend(1)); DROP DATABASE … WITH (FORCE) ends all of them."
    )


def test_of_several_each_is_told_with_the_number_of_the_others() -> None:
    found = told(session(1, "a", "idle"), edges=(connected(5, 1), connected(5, 2), connected(5, 3)))
    assert ", idle for 2.0 s, and 2 more are. After" in found.explanation


def test_a_template_is_left_before_it_is_copied() -> None:
    found = told(session(1, "pool", "idle"), statement="create database b template shop")
    assert "before the database is copied" in found.advice
    assert "FORCE" not in found.advice


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (session(1, OWN_NAME, "idle"), "pgwatch-tests leaves the database by itself"),
        (
            replace(session(1, "x"), backend_type="autovacuum worker"),
            "the server ends its autovacuum workers",
        ),
    ],
)
def test_who_leaves_by_itself_needs_no_signal(who: Session, words: str) -> None:
    found = told(who)
    assert found.cause == "connected_to_database"
    assert words in found.advice
    assert "pg_terminate_backend" not in found.advice


@pytest.mark.parametrize(
    ("statement", "forced"),
    [
        ("DROP DATABASE shop WITH (FORCE)", True),
        ("drop database if exists shop(force);", True),
        ("DROP DATABASE shop /* really */ WITH ( /* so */ FORCE )", True),
        ("DROP DATABASE shop", False),
        ('DROP DATABASE "shop (force)"', False),
        ("DROP DATABASE force", False),
        ("DROP DATABASE shop -- WITH (FORCE)", False),
        ("", False),
    ],
)
def test_a_drop_with_force_is_told_from_one_without(statement: str, forced: bool) -> None:
    assert is_forced(statement) is forced


def test_a_drop_that_waits_is_in_every_format_and_goes_on_once_the_session_is_ended(cast: Cast) -> None:
    name = cast.another_database()
    inside = cast.session("inside", name, autocommit=True)
    inside.execute("SELECT 1")
    dropping = cast.session("dropping", autocommit=True)
    running = cast.needs_alone(dropping, f"DROP DATABASE {name}")
    graph = look(cast.dsn)
    number = pid(inside)
    tree = lock_tree.text(graph.snapshot)
    told = " ".join(tree.replace("│", " ").split())
    assert f"test_inside (gw0, pid {number}" in told
    assert "is connected to it as postgres" in told
    assert f"for database {name} (until nobody else is connected)" in tree
    [link] = json.loads(lock_json.document(graph.snapshot))["edges"]
    assert (link["kind"], link["blocker_pid"]) == ("connected", number)
    assert (link["lock"]["type"], link["lock"]["target"]) == ("object", f"database {name}")
    assert link["wait_s"] > 0
    assert f"database {name}" in lock_csv.document(graph.snapshot)
    outcome = do(cast.dsn, seen(cast.dsn, inside, "terminate"))
    assert outcome.result == "done"
    assert "The session it blocked can continue." in outcome.message
    running.result()


def test_a_role_without_rights_sees_who_is_connected(cast: Cast, dsn_as: DsnAs) -> None:
    name = cast.another_database()
    inside, dropping = cast.session("inside", name), cast.session("dropping", autocommit=True)
    cast.needs_alone(dropping, f"DROP DATABASE {name}")
    [found] = look(dsn_as()[1]).snapshot.shown_edges
    assert (found.waiter.pid, found.blocker.pid) == (pid(dropping), pid(inside))
