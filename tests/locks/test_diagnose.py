from __future__ import annotations

from dataclasses import replace

from pgwatch_tests.locks.diagnose import diagnose
from pgwatch_tests.locks.model import LockTag, Party, PreparedTransaction, Subject
from pgwatch_tests.locks.picture import LockPicture
from tests.locks.snapshots import edge, session, snapshot

RELATION = LockTag("relation", 5, 16400)


def test_an_idle_transaction_is_ended_not_cancelled() -> None:
    picture = LockPicture(snapshot((edge(2, 1),), (session(1, state="idle in transaction"),)))
    found = diagnose(picture, Party(1))
    assert found.cause == "idle_in_transaction"
    assert found.explanation == (
        "test_1 (gw1, pid 1) left a transaction open (idle in transaction for 2.0 s); "
        "test_2 (gw2, pid 2) waits for row of t (id=1)."
    )
    assert "pg_terminate_backend(1)" in found.advice
    assert "pg_cancel_backend" not in found.advice


def test_a_running_statement_is_cancelled_first() -> None:
    found = diagnose(LockPicture(snapshot((edge(2, 1), edge(3, 1)))), Party(1))
    assert found.cause == "same_row"
    assert "and 1 more wait for" in found.explanation
    assert "pg_cancel_backend(1)" in found.advice


def test_a_truncate_in_the_way_is_named_as_clean_up() -> None:
    edges = (
        edge(2, 1, target="table t", mode="AccessExclusiveLock", tag=RELATION),
        edge(3, 2, "soft", target="table t", mode="AccessShareLock", tag=RELATION),
    )
    picture = LockPicture(snapshot(edges, (session(2, query="TRUNCATE t"),)))
    found = diagnose(picture, Party(1))
    assert found.cause == "truncate_or_cleanup_vs_test"
    assert "TRUNCATE by test_2 (gw2, pid 2) needs table t alone" in found.explanation
    assert "pg_cancel_backend(2)" in found.advice


def test_an_exclusive_request_that_nobody_queues_behind_is_no_queue() -> None:
    edges = (
        edge(2, 1, target="table t", mode="AccessExclusiveLock", tag=RELATION, subject=Subject("relation")),
    )
    assert diagnose(LockPicture(snapshot(edges)), Party(1)).cause == "long_query"


def test_the_same_key() -> None:
    collision = edge(2, 1, target="unique key of users (transaction 812)", subject=Subject("unique_key"))
    found = diagnose(LockPicture(snapshot((collision,))), Party(1))
    assert found.cause == "same_key"
    assert "test_2 (gw2, pid 2) inserts the same key as test_1 (gw1, pid 1)" in found.explanation


def test_a_prepared_transaction_with_a_quote_in_its_gid() -> None:
    shot = snapshot((edge(2, 0, gid="it's"),))
    picture = LockPicture(replace(shot, prepared=(PreparedTransaction("it's", age_s=9.0),)))
    found = diagnose(picture, Party(0, "it's"))
    assert found.cause == "prepared_transaction"
    assert "ROLLBACK PREPARED 'it''s'" in found.advice


def test_a_hidden_blocker_is_said_to_be_hidden() -> None:
    picture = LockPicture(snapshot((edge(2, 1),), (session(1, state="", hidden=True),)))
    assert "isn't visible to this role" in diagnose(picture, Party(1)).explanation


def test_an_unknown_blocker_is_diagnosed_too() -> None:
    shot = snapshot((edge(2, 1, subject=Subject("other"), target="something"),))
    assert diagnose(LockPicture(replace(shot, sessions=())), Party(1)).cause == "unknown"
