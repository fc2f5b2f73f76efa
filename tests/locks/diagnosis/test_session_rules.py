"""The rules about what the blocking session is, and what it can't be known to have done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.locks.diagnosis.evidence import Diagnosis
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import Edge, LockTag, Party, Session, Subject
from tests.locks.snapshots import edge, session, snapshot

RELATION = LockTag("relation", 5, 16400)
COPY = "pytest:gw0 tests/test_two.py::test_copy"
COMMIT = "Commit, roll back or close it in the fixture's clean-up."


def found(*edges: Edge, sessions: tuple[Session, ...] = ()) -> Diagnosis:
    return diagnose(LockGraph(snapshot(edges, sessions)), Party(1))


def on_table(waiter: int, blocker: int, held: str = "AccessShareLock", name: str = "tab") -> Edge:
    wait = edge(waiter, blocker, target=f"table {name}", mode="AccessExclusiveLock", tag=RELATION)
    return replace(
        wait,
        lock=replace(wait.lock, held_mode=held, object=name),
        subject=Subject("relation", 5, (16400,)),
    )


def idle(pid: int, query: str, name: str = "") -> Session:
    return session(pid, name, "idle in transaction", query)


# A test that waits for itself.


def test_a_test_that_waits_for_its_own_other_session() -> None:
    one, other = idle(1, "SELECT * FROM tab", COPY), session(2, COPY, query="DROP TABLE tab")
    told = found(on_table(2, 1), sessions=(one, other))
    assert told.cause == "waits_for_itself"
    assert told.explanation == (
        "test_copy (gw0, pid 1) waits for itself: its session pid 2 has waited 1.0 s for table tab, and its "
        "session pid 1 blocks it, idle in transaction for 2.0 s."
    )
    assert told.advice == (
        "End the transaction of pid 1 (commit, roll back or close it) before the other connection needs that "
        "lock, or use one connection. The server sees no deadlock: while the test is inside the waiting "
        "call, this never goes on. To unblock now, end its session (SELECT pg_terminate_backend(1))."
    )


def test_a_test_whose_other_session_is_at_work_goes_on_sometime() -> None:
    told = found(on_table(2, 1), sessions=(session(1, COPY, query="SELECT * FROM tab"), session(2, COPY)))
    assert told.cause == "waits_for_itself"
    assert "never" not in told.advice
    hidden = session(1, COPY, state="", hidden=True, query="")
    told = found(on_table(2, 1), sessions=(hidden, session(2, COPY)))
    assert told.cause == "waits_for_itself"
    assert "never" not in told.advice


def test_a_test_that_waits_for_itself_through_another() -> None:
    sessions = (idle(1, "SELECT * FROM tab", COPY), session(2), session(3, COPY))
    told = found(on_table(2, 1), on_table(3, 2, name="notes"), sessions=sessions)
    assert told.cause == "waits_for_itself"
    assert "pid 3 has waited 1.0 s for table notes behind test_2 (gw2, pid 2), and its" in told.explanation


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("psql", "psql"),
        ("", ""),
        ("pytest:gw0 t.py::test_a", "pytest:gw0 t.py::test_b"),
        ("pytest:gw0 t.py::test_a", "pytest:gw1 t.py::test_a"),
    ],
)
def test_an_application_of_one_name_or_another_worker_is_not_the_same_test(one: str, other: str) -> None:
    told = found(on_table(2, 1), sessions=(idle(1, "SELECT * FROM tab", one), session(2, other)))
    assert told.cause == "idle_in_transaction"


# A session that waits for its client.


@pytest.mark.parametrize(
    ("event", "words", "advice"),
    [
        ("ClientWrite", "waiting for its client to read its rows", "Read all rows of a result, or close it"),
        ("ClientRead", "waiting for its client to send the rest", "Send all of it, or abort it (COPY"),
    ],
)
def test_who_waits_for_its_client_runs_no_slow_statement(event: str, words: str, advice: str) -> None:
    reader = replace(session(1, query="SELECT * FROM tab"), wait_event_type="Client", wait_event=event)
    told = found(on_table(2, 1), sessions=(reader,))
    assert told.cause == "waits_for_client"
    assert f"is {words}, in a statement that began 2.5 s ago" in told.explanation
    assert "running a statement" not in told.explanation
    assert told.advice.startswith(advice)
    # It hears no cancel before its client does something.
    assert "pg_terminate_backend(1)" in told.advice
    assert "pg_cancel_backend" not in told.advice


def test_an_idle_session_waits_for_its_client_too_and_is_called_idle() -> None:
    left = replace(idle(1, "SELECT * FROM tab"), wait_event_type="Client", wait_event="ClientRead")
    assert found(on_table(2, 1), sessions=(left,)).cause == "idle_in_transaction"


# Two that create, or empty, the same.


def _creates(waiter: int, target: str) -> Edge:
    tag = LockTag("transactionid", transactionid=7)
    return edge(waiter, 1, target=target, tag=tag, subject=Subject("creation", words=target))


def test_two_that_create_the_same() -> None:
    create = "CREATE EXTENSION IF NOT EXISTS hstore"
    told = found(_creates(2, "extension hstore"), sessions=(idle(1, create), session(2, query=create)))
    assert told.cause == "same_name"
    assert told.explanation == (
        "test_2 (gw2, pid 2) has waited 1.0 s for test_1 (gw1, pid 1), idle in transaction for 2.0 s, to "
        "commit or roll back: both create extension hstore."
    )
    assert told.advice.startswith("Create it once, before the workers start")
    assert "End the first one's transaction (commit, roll back or close it) in the fixture" in told.advice


def test_what_the_other_has_done_with_the_name_is_not_claimed() -> None:
    told = found(_creates(2, "table notes"), sessions=(idle(1, "SELECT 1"),))
    assert (
        "it creates table notes, and that transaction has created, renamed or dropped one" in told.explanation
    )


def test_two_clean_ups_that_empty_table_after_table() -> None:
    waits = on_table(2, 1, "AccessExclusiveLock", "a")
    queries = ("TRUNCATE a", "TRUNCATE TABLE b, a")
    at_work = found(waits, sessions=(session(1, query=queries[0]), session(2, query=queries[1])))
    assert at_work.cause == "truncate_or_cleanup_vs_test"
    assert "in the same order: TRUNCATE b, a. Best from one process" in at_work.advice
    left = found(waits, sessions=(idle(1, queries[0]), session(2, query=queries[0])))
    assert left.cause == "idle_in_transaction"
    assert left.advice.startswith(f"{COMMIT} Empty all tables in one statement")
    assert "TRUNCATE a, b, c" in left.advice, "an example where only one is known"


def test_two_clean_ups_that_deadlock() -> None:
    edges = on_table(2, 1, "AccessExclusiveLock", "a"), on_table(1, 2, "AccessExclusiveLock", "b")
    shot = snapshot(edges, (session(1, query="TRUNCATE b"), session(2, query="TRUNCATE a")))
    told = diagnose(LockGraph(settle(settle(None, shot), shot)), Party(1))
    assert told.cause == "deadlock"
    assert "in the same order: TRUNCATE b, a." in told.advice


# An advisory lock, of the session or of the transaction.


@pytest.mark.parametrize(
    ("state", "query", "cancel"),
    [
        ("active", "SELECT pg_advisory_lock(1), pg_sleep(60)", False),
        ("active", "SELECT pg_sleep(60)", False),
        ("active", "SELECT pg_advisory_xact_lock(1), pg_sleep(60)", True),
        ("idle", "SELECT 1", False),
        ("idle in transaction", "SELECT pg_advisory_lock(1)", False),
    ],
)
def test_a_lock_that_may_be_the_sessions_is_freed_by_ending_the_session(
    state: str, query: str, cancel: bool
) -> None:
    advisory = edge(2, 1, target="advisory lock 1", tag=LockTag("advisory", 5), subject=Subject("advisory"))
    told = found(advisory, sessions=(session(1, state=state, query=query),))
    assert told.cause == "advisory_lock"
    assert ("pg_cancel_backend(1)" in told.advice) is cancel
    assert ("pg_terminate_backend(1)" in told.advice) is not cancel
    assert ("is cancelled" in told.advice) is not cancel


@pytest.mark.parametrize(
    ("query", "mode", "advice"),
    [
        ("ALTER TABLE b ADD FOREIGN KEY (a) REFERENCES a", "ShareRowExclusiveLock", "Change tables before"),
        ("CREATE INDEX ON a (n)", "ShareLock", "Change tables before the tests run"),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY a", "ExclusiveLock", "REFRESH MATERIALIZED VIEW"),
        ("REINDEX TABLE a", "ShareLock", "Run REINDEX TABLE while no tests run."),
    ],
)
def test_what_to_do_about_a_change_behind_an_idle_transaction(query: str, mode: str, advice: str) -> None:
    waits = on_table(2, 1, "RowExclusiveLock")
    waits = replace(waits, lock=replace(waits.lock, mode=mode))
    told = found(waits, sessions=(idle(1, "INSERT INTO a VALUES (1)"), session(2, query=query)))
    assert told.cause == "idle_in_transaction"
    assert advice in told.advice


# What took a lock.

_SHOWN = "earlier statement of the same transaction took that lock: the one shown"
_BY_OTHER_WAYS = ", unless by a view, trigger, function or foreign key"


@pytest.mark.parametrize(
    ("held", "query", "why"),
    [
        ("AccessExclusiveLock", "SELECT 1", "takes none as strong by itself"),
        ("AccessExclusiveLock", "INSERT INTO tab VALUES (1)", "takes none as strong by itself"),
        ("AccessExclusiveLock", "TRUNCATE other", f"doesn't name it{_BY_OTHER_WAYS}"),
        ("AccessExclusiveLock", "ALTER TABLE public.tab ADD n int", ""),
        ("AccessExclusiveLock", "ALTER TABLE other ADD n int", f"doesn't name it{_BY_OTHER_WAYS}"),
        ("AccessExclusiveLock", "TRUNCATE parent", ""),
        ("AccessExclusiveLock", "TRUNCATE other CASCADE", ""),
        ("AccessExclusiveLock", "DROP INDEX tab_n_idx", ""),
        ("AccessExclusiveLock", "DO $$ BEGIN DROP TABLE tab; END $$", ""),
        ("AccessExclusiveLock", 'TRUNCATE "tab"', ""),
        ("RowExclusiveLock", "UPDATE tab SET n = 1", ""),
        ("RowExclusiveLock", "SHOW work_mem", "doesn't name it"),
        ("AccessShareLock", "SELECT 1", "doesn't name it"),
        ("AccessShareLock", "SELECT * FROM tab", ""),
        ("AccessShareLock", "SELECT * FROM parent", ""),
        ("AccessShareLock", "SELECT * FROM a_view", f"doesn't name it{_BY_OTHER_WAYS}"),
        ("AccessShareLock", "SELECT a_function()", f"doesn't name it{_BY_OTHER_WAYS}"),
        ("AccessShareLock", "", ""),
    ],
)
def test_the_statement_shown_need_not_be_what_took_a_tables_lock(held: str, query: str, why: str) -> None:
    wait = on_table(2, 1, held)
    wait = replace(wait, lock=replace(wait.lock, ancestors=("parent",)))
    told = found(wait, sessions=(idle(1, query),))
    assert told.explanation.partition(_SHOWN)[2] == (f" {why}." if why else "")
    is_sure = query in ("SHOW work_mem", "SELECT 1")
    assert told.explanation.partition(_SHOWN)[0].endswith(
        ". An " if is_sure else ". Most likely an "
    ) == bool(why)


def test_an_index_is_locked_by_statements_that_name_its_table() -> None:
    wait = on_table(2, 1, "AccessShareLock", "t_pkey")
    wait = replace(wait, lock=replace(wait.lock, target="index t_pkey"))
    told = found(wait, sessions=(idle(1, "SELECT * FROM t"),))
    assert _SHOWN not in told.explanation


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT count(*) FROM t", "changes and locks no rows by itself"),
        ("INSERT INTO other VALUES (1)", f"doesn't name that table{_BY_OTHER_WAYS}"),
        ("UPDATE t SET n = 1", ""),
        ("UPDATE public.parent SET n = 1", ""),
        ("SELECT * FROM t FOR UPDATE", ""),
        ("CALL something()", ""),
    ],
)
def test_the_statement_shown_need_not_be_what_locked_a_row(query: str, why: str) -> None:
    wait = edge(2, 1)
    told = found(
        replace(wait, lock=replace(wait.lock, object="t", ancestors=("parent",))), sessions=(idle(1, query),)
    )
    assert told.explanation.partition(_SHOWN)[2] == (f" {why}." if why else "")


def test_of_a_hidden_session_no_statement_is_spoken_of() -> None:
    told = found(on_table(2, 1), sessions=(session(1, state="", hidden=True, query=""),))
    assert _SHOWN not in told.explanation
