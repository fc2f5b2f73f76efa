"""Each rule of diagnosis: when it applies, whom it names, what it advises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.locks.diagnosis.evidence import Diagnosis
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Edge, LockTag, Party, PreparedTransaction, Session, Subject
from pgwatch_tests.locks.waits.statement_text import kind
from tests.locks.snapshots import edge, session, snapshot

RELATION = LockTag("relation", 5, 16400)
KEY = Subject("unique_key", 5, (16400,))


def found(*edges: Edge, sessions: tuple[Session, ...] = (), root: int = 1) -> Diagnosis:
    return diagnose(LockGraph(snapshot(edges, sessions)), Party(root))


def alone(waiter: int, blocker: int, target: str = "table t") -> Edge:
    return edge(
        waiter, blocker, target=target, mode="AccessExclusiveLock", tag=RELATION, subject=Subject("relation")
    )


def queued(waiter: int, blocker: int) -> Edge:
    return edge(waiter, blocker, "soft", target="table t", mode="AccessShareLock", tag=RELATION)


def idle(pid: int) -> Session:
    return session(pid, state="idle in transaction")


def test_an_idle_transaction_is_ended_not_cancelled() -> None:
    told = found(edge(2, 1), sessions=(idle(1),))
    assert told.cause == "idle_in_transaction"
    assert told.explanation == (
        "test_1 (gw1, pid 1) left a transaction open, idle for 2.0 s. "
        "test_2 (gw2, pid 2) has waited 1.0 s for row of t (id=1)."
    )
    assert "pg_terminate_backend(1)" in told.advice
    assert "pg_cancel_backend" not in told.advice
    assert told.practice == "Clean up after each test"


def test_an_aborted_transaction_is_called_so() -> None:
    told = found(edge(2, 1), sessions=(session(1, state="idle in transaction (aborted)"),))
    assert "left an aborted transaction open, idle for 2.0 s" in told.explanation


def test_the_same_row_and_its_other_holders() -> None:
    shared = edge(2, 1, wait_s=3.0)
    shared = replace(shared, lock=replace(shared.lock, also_held_by=(Party(4),)))
    told = found(shared, edge(3, 1), sessions=(session(4),))
    assert told.cause == "same_row"
    assert told.explanation == (
        "test_2 (gw2, pid 2) and 1 more have waited 3.0 s for the row of t (id=1), which test_1 (gw1, pid 1) "
        "has changed or locked (running a statement for 2.5 s); test_4 (gw4, pid 4) has locked it too."
    )
    assert told.advice.endswith(
        "(SELECT pg_cancel_backend(1)) and have the other holder end its transaction."
    )
    assert told.practice == "Isolate test data"


@pytest.mark.parametrize(
    ("statement", "cause", "practice"),
    [
        ("TRUNCATE t", "truncate_or_cleanup_vs_test", "Isolate test data"),
        ("drop table t", "truncate_or_cleanup_vs_test", "Isolate test data"),
        ("/* teardown */ drop schema a", "truncate_or_cleanup_vs_test", "Isolate test data"),
        ("DROP INDEX i", "ddl_queue", "Don't share state between tests"),
        ("BEGIN; LOCK TABLE t", "table_lock", "Don't share state between tests"),
        ("lock t", "table_lock", "Don't share state between tests"),
        ("ALTER TABLE t ADD n int", "ddl_queue", "Don't share state between tests"),
        ("", "ddl_queue", "Don't share state between tests"),
    ],
)
def test_everyone_queues_behind_who_needs_the_table_alone(statement: str, cause: str, practice: str) -> None:
    told = found(alone(2, 1), queued(3, 2), sessions=(session(2, query=statement),))
    assert (told.cause, told.practice) == (cause, practice)
    word = kind(statement) or "A statement"
    assert (
        f"{word} by test_2 (gw2, pid 2) needs exclusive access to table t and has waited 1.0 s for test_1"
        in told.explanation
    )
    assert "1 more queues behind it" in told.explanation
    assert "pg_cancel_backend(2)" in told.advice
    assert ("DELETE" in told.advice) is (cause == "truncate_or_cleanup_vs_test")
    assert ("Change tables before" in told.advice) is (cause == "ddl_queue" and bool(statement))
    assert ("Change, empty or lock whole tables while no tests run." in told.advice) is not bool(statement)


def test_a_queue_behind_who_locks_a_table_for_writers() -> None:
    waits = edge(2, 1, target="table t", mode="ShareLock", tag=RELATION)
    told = found(waits, queued(3, 2), queued(4, 2), sessions=(session(2, query="CREATE INDEX ON t (n)"),))
    assert told.cause == "ddl_queue"
    assert "CREATE INDEX by test_2 (gw2, pid 2) needs table t in SHARE mode" in told.explanation
    assert "2 more queue behind it" in told.explanation


def test_a_chain_is_no_queue() -> None:
    told = found(alone(2, 1), edge(3, 2), edge(4, 3), sessions=(session(2, query="TRUNCATE t"),))
    assert told.cause == "truncate_or_cleanup_vs_test"
    assert "queue" not in told.explanation
    assert "continue at once" not in told.advice


def test_an_exclusive_request_that_nobody_queues_behind_is_no_queue() -> None:
    assert found(alone(2, 1)).cause == "long_query"


def test_a_clean_up_alone_with_a_test() -> None:
    waits = found(alone(2, 1), sessions=(session(2, query="TRUNCATE t"),))
    assert waits.cause == "truncate_or_cleanup_vs_test"
    assert "TRUNCATE by test_2 (gw2, pid 2) needs exclusive access to table t" in waits.explanation
    held = edge(2, 1, target="table t", mode="AccessShareLock", tag=RELATION)
    held = replace(held, lock=replace(held.lock, held_mode="AccessExclusiveLock", object="t"))
    holds = found(held, sessions=(session(1, query="TRUNCATE t"),))
    assert holds.cause == "truncate_or_cleanup_vs_test"
    assert "test_1 (gw1, pid 1) has held table t exclusively since its TRUNCATE" in holds.explanation


@pytest.mark.parametrize("statement", ["TRUNCATE t", "DROP TABLE t", "ALTER TABLE t ADD n int", "LOCK t"])
def test_a_transaction_left_open_is_the_story_whatever_waits_for_it(statement: str) -> None:
    told = found(alone(2, 1), queued(3, 2), sessions=(idle(1), session(2, query=statement)))
    assert told.cause == "idle_in_transaction"
    kind = " ".join(statement.split()[: 2 if "TABLE" in statement else 1])
    assert (
        f". {kind} by test_2 (gw2, pid 2) has waited 1.0 s for table t, and 1 more queues" in told.explanation
    )
    assert told.advice.startswith("Commit, roll back or close it in the fixture's clean-up. ")
    assert "To unblock now, end its session (SELECT pg_terminate_backend(1))" in told.advice
    # Both choices, with what each frees: that of the open transaction first, where they are equal.
    assert told.advice.endswith(
        f": frees 1 at once, the {kind}; 1 behind it follows (a cancel has no effect on an idle session). "
        f"Or cancel only the {kind} (SELECT pg_cancel_backend(2)): frees 1."
    )
    more = found(
        alone(2, 1), queued(3, 2), queued(4, 2), sessions=(idle(1), session(2, query=statement))
    ).advice
    assert more.endswith(
        f"To unblock now, cancel the {kind} (SELECT pg_cancel_backend(2)): frees 2 at once. Or end the "
        f"blocker's session (SELECT pg_terminate_backend(1)): frees 1 at once, the {kind}; 2 behind it "
        "follow."
    )


def test_who_queues_behind_a_change_and_waits_for_the_blocker_too_is_not_freed_by_cancelling_it() -> None:
    told = found(
        *(alone(2, 1), queued(3, 2), alone(3, 1)), sessions=(idle(1), session(2, query="TRUNCATE t"))
    )
    assert told.advice.endswith(
        "To cancel the TRUNCATE (SELECT pg_cancel_backend(2)) frees nobody: the others wait for the blocker, "
        "too."
    )


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("TRUNCATE other", "clean-up. To unblock"),
        ("DROP INDEX i", "Change tables before the tests run"),
        ("LOCK TABLE t", "Lock the rows that a test needs"),
        ("SELECT 1", ""),
    ],
)
def test_a_table_isn_t_said_to_be_locked_by_a_statement_that_does_not_name_it(
    statement: str, advice: str
) -> None:
    held = edge(2, 1, target="table t", mode="AccessShareLock", tag=RELATION)
    held = replace(held, lock=replace(held.lock, held_mode="AccessExclusiveLock", object="t"))
    holder = session(1, state="idle in transaction", query=statement)
    told = found(held, sessions=(holder, session(2, query="SELECT * FROM t")))
    assert told.cause == "idle_in_transaction"
    assert "since its" not in told.explanation
    assert advice in told.advice


def test_only_those_are_said_to_wait_for_it_that_do() -> None:
    told = found(
        edge(2, 1, wait_s=4.0),
        edge(3, 1, wait_s=3.0),
        edge(4, 1, target="row of t (id=2)"),
        edge(5, 1, target="table other", tag=RELATION, subject=Subject("relation")),
        sessions=(idle(1),),
    )
    assert told.explanation.endswith(
        "test_2 (gw2, pid 2) and 1 more have waited 4.0 s for row of t (id=1); 2 more wait for other locks "
        "it holds."
    )


@pytest.mark.parametrize(
    ("state", "query", "told_to"),
    [
        ("idle", "", True),
        ("idle in transaction", "SELECT pg_advisory_lock(7)", True),
        ("active", "SELECT pg_try_advisory_lock(7)", True),
        ("idle in transaction", "SELECT pg_advisory_xact_lock(7)", False),
        ("idle in transaction", "SELECT 1", False),
    ],
)
def test_who_holds_an_advisory_lock_for_a_transaction_is_not_told_to(
    state: str, query: str, told_to: bool
) -> None:
    advisory = edge(2, 1, target="advisory lock 7", tag=LockTag("advisory", 5), subject=Subject("advisory"))
    told = found(advisory, sessions=(session(1, state=state, query=query),))
    assert ("Use pg_advisory_xact_lock" in told.advice) is told_to
    assert "a key unique to each test" in told.advice


def test_the_same_key() -> None:
    told = found(
        edge(2, 1, target="unique key of users (email)", subject=KEY),
        sessions=(session(1, query="INSERT INTO users (email) VALUES ('a')"),),
    )
    assert told.cause == "same_key"
    assert told.explanation == (
        "test_2 (gw2, pid 2) has waited 1.0 s for test_1 (gw1, pid 1), running a statement for 2.5 s, to "
        "commit or roll back: both write the same unique key of users (email)."
    )
    assert told.practice == "Don't use fixed test data"


@pytest.mark.parametrize(
    ("query", "both"),
    [
        ("UPDATE users SET n = 1 WHERE id = 5", "both write a row with the same unique key"),
        ("DELETE FROM users", "both write a row with the same unique key"),
        ("INSERT INTO users VALUES (5)", "both write the same unique key"),
        ("SELECT 1", "both write the same unique key"),
    ],
)
def test_who_has_changed_a_row_need_not_have_written_its_key(query: str, both: str) -> None:
    told = found(
        edge(2, 1, target="unique key of users (id)", subject=KEY), sessions=(session(1, query=query),)
    )
    assert both in told.explanation


def test_a_waiter_that_checks_a_foreign_key_behind_an_idle_transaction() -> None:
    waits = edge(2, 1, target="row of parents (id=1)", subject=Subject("row", checking="waiter"))
    waits = replace(waits, lock=replace(waits.lock, foreign_key_of="children"))
    told = found(waits, sessions=(idle(1),))
    assert told.cause == "idle_in_transaction"
    assert "row of parents (id=1), which a foreign key of children refers to." in told.explanation
    assert found(waits).cause == "foreign_key_share"


def test_a_blocker_that_checked_a_foreign_key_is_named_before_the_idle_transaction() -> None:
    waits = edge(2, 1, target="row of parents (id=1)", subject=Subject("row", checking="blocker"))
    waits = replace(waits, lock=replace(waits.lock, foreign_key_of="children"))
    told = found(waits, sessions=(idle(1),))
    assert told.cause == "foreign_key_share"
    assert "a foreign key of children refers to it" in told.explanation
    assert "idle in transaction for 2.0 s" in told.explanation
    assert "pg_terminate_backend(1)" in told.advice


def test_an_advisory_lock() -> None:
    advisory = edge(2, 1, target="advisory lock 7", tag=LockTag("advisory", 5), subject=Subject("advisory"))
    told = found(advisory, sessions=(idle(1),))
    assert told.cause == "advisory_lock"
    assert "test_1 (gw1, pid 1) holds advisory lock 7" in told.explanation
    assert told.practice == "Don't share state between tests"


def test_an_index_that_is_built_concurrently() -> None:
    waits = edge(2, 1, tag=LockTag("virtualxid", virtualxid="3/1"), subject=Subject("other"))
    build = session(2, query="create index concurrently i ON t (n)")
    told = found(waits, sessions=(build,))
    assert told.cause == "index_build_waits_for_transaction"
    assert told.explanation == (
        "CREATE INDEX CONCURRENTLY by test_2 (gw2, pid 2) has waited 1.0 s for test_1 (gw1, pid 1), running "
        "a statement for 2.5 s, to end its transaction: it waits for every transaction that writes to the "
        "table or has an older snapshot of any table."
    )
    told = found(waits, sessions=(idle(1), build))
    assert told.cause == "idle_in_transaction"
    assert told.explanation == (
        "test_1 (gw1, pid 1) left a transaction open, idle for 2.0 s. CREATE INDEX "
        "CONCURRENTLY by test_2 (gw2, pid 2) has waited 1.0 s for this transaction to end: it waits "
        "for every transaction that writes to the table or has an older snapshot of any table."
    )
    assert "Build indexes before the tests run." in told.advice


@pytest.mark.parametrize(
    ("query", "cause", "words"),
    [
        ("autovacuum: VACUUM public.t", "autovacuum", "gives way by itself"),
        (
            "autovacuum: VACUUM public.t (to prevent wraparound)",
            "autovacuum_to_prevent_wraparound",
            "doesn't give way",
        ),
    ],
)
def test_autovacuum(query: str, cause: str, words: str) -> None:
    worker = replace(session(1, "x", query=query), backend_type="autovacuum worker", application_name="")
    told = found(alone(2, 1), sessions=(worker,))
    assert told.cause == cause
    assert words in told.advice
    assert "test_2 (gw2, pid 2) has waited 1.0 s for table t" in told.explanation


def test_a_prepared_transaction_with_a_quote_in_its_gid() -> None:
    shot = snapshot((edge(2, 0, gid="it's"),))
    prepared = PreparedTransaction("it's", database="test_app", age_s=9.0)
    told = diagnose(LockGraph(replace(shot, prepared=(prepared,))), Party(0, "it's"))
    assert told.cause == "prepared_transaction"
    assert "it's, 9.0 s old" in told.explanation
    assert "In database test_app: ROLLBACK PREPARED 'it''s'" in told.advice


def test_what_waits_concurrently_for_all_is_called_by_its_kind() -> None:
    waits = edge(2, 1, tag=LockTag("virtualxid", virtualxid="3/1"), subject=Subject("other"))
    detach = "ALTER TABLE bookings DETACH PARTITION bookings_2030 CONCURRENTLY"
    told = found(waits, sessions=(session(2, query=detach),))
    assert told.explanation == (
        "ALTER TABLE … DETACH PARTITION CONCURRENTLY by test_2 (gw2, pid 2) has waited 1.0 s for test_1 "
        "(gw1, pid 1), running a statement for 2.5 s, to end its transaction: it waits for every "
        "transaction that has used the table."
    )
    assert told.advice.startswith("Detach partitions before the tests run.")


def test_who_drops_an_index_concurrently_waits_for_users_of_the_table_only() -> None:
    waits = edge(2, 1, tag=LockTag("virtualxid", virtualxid="3/1"), subject=Subject("other"))
    told = found(waits, sessions=(session(2, query="DROP INDEX CONCURRENTLY i"),))
    assert told.explanation.endswith(
        "to end its transaction: it waits for every transaction that has used the table."
    )
    assert told.advice.startswith("Drop indexes before the tests run.")


def test_a_hidden_blocker_is_said_to_be_hidden() -> None:
    told = found(edge(2, 1), sessions=(session(1, state="", hidden=True),))
    assert "isn't visible to this role" in told.explanation


def test_an_unknown_blocker_is_diagnosed_too() -> None:
    shot = snapshot((edge(2, 1, subject=Subject("other"), target="something"),))
    assert diagnose(LockGraph(replace(shot, sessions=())), Party(1)).cause == "unknown"


def test_where_the_root_still_blocks_after_the_change_is_cancelled_both_are_to_be_done_in_order() -> None:
    row = LockTag("transactionid", transactionid=700)
    told = found(
        *(edge(2, 1, tag=row), edge(3, 2, tag=row), alone(5, 1), alone(5, 2)),
        *(queued(pid, 5) for pid in (6, 7, 8)),
        sessions=(idle(1), session(5, "migrations", query="ALTER TABLE t ADD n int")),
    )
    assert told.advice.endswith(
        "To unblock now, first cancel the ALTER TABLE (SELECT pg_cancel_backend(5)): it fails, 3 go on "
        "at once. Then end the blocker's session (SELECT pg_terminate_backend(1)): "
        "1 of the other 2 goes on."
    )
