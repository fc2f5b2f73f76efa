"""Whatever a watch sees, the sums agree, and nothing is credited that wasn't seen."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.locks.contention.contention import Contention, ContentionMeter, Pair
from pgwatch_tests.locks.contention.ranking import MOST_ROWS
from pgwatch_tests.locks.contention.wait_record import LockedObject
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import Edge, LockSnapshot, LockTag, Subject
from pgwatch_tests.reports.contention import contention_json, contention_table
from pgwatch_tests.reports.contention.pair_detail import pair_detail
from pgwatch_tests.text.toned_text import text_of
from tests.locks.snapshots import edge, session, snapshot

MODES = ("AccessExclusiveLock", "ShareLock", "ExclusiveLock")


def waiting(
    waiter: int, blocker: int, wait_s: float | None, kind: str = "hard", table: int = 1, request: int = 0
) -> Edge:
    """An edge of the waiter's n-th request, for a row of a table."""
    one = edge(
        waiter,
        blocker,
        "soft" if kind == "soft" else "hard",
        wait_s,
        f"row of t{table} (id={request})",
        MODES[table % len(MODES)],
        Subject("row", 5, (16400 + table,), 0, request),
        LockTag("tuple", 5, 16400 + table, 0, request),
        gid="" if blocker else "a gid",
    )
    assert one.wait is not None
    return replace(
        one,
        lock=replace(one.lock, object=f"t{table}"),
        wait=replace(one.wait, virtualtransaction=f"3/{request}"),
    )


@st.composite
def watches(draw: st.DrawFn) -> list[LockSnapshot]:
    """Settled polls, in which sessions begin to wait, go on, wait for others, and stop."""
    polls: list[LockSnapshot] = []
    requests: dict[int, tuple[int, int, float]] = {}
    now_s = 0.0
    for number in range(draw(st.integers(1, 6))):
        step_s = draw(st.sampled_from([0.25, 0.5, 1.0, 30.0]))
        now_s += step_s
        edges: list[Edge] = []
        for waiter in range(1, 6):
            match draw(st.sampled_from(["idle", "new", "on", "on"])):
                case "idle":
                    requests.pop(waiter, None)
                    continue
                case "new":
                    requests.pop(waiter, None)
            if waiter not in requests:
                began_s = now_s - draw(st.floats(0.0, step_s))
                requests[waiter] = (number * 10 + waiter, draw(st.integers(1, 3)), began_s)
            request, table, began_s = requests[waiter]
            for blocker in draw(st.sets(st.integers(0, 6), min_size=1, max_size=3)) - {waiter}:
                kind = draw(st.sampled_from(["hard", "soft"]))
                edges.append(waiting(waiter, blocker, now_s - began_s, kind, table, request))
        polls.append(settle(polls[-1] if polls else None, snapshot(tuple(edges), after_s=now_s)))
    return polls


def watch(polls: list[LockSnapshot]) -> Contention:
    collected = ContentionMeter()
    for poll in polls:
        collected.add(poll)
    seen = collected.result()
    assert seen is not None
    return seen


def seconds(seen: Contention) -> dict[object, float]:
    rows = [*seen.pairs.rows, *seen.objects.rows, *(((cause,), one) for cause, one in seen.causes.rows)]
    return {key: tally.blocked_s for key, tally in rows}


@given(watches())
def test_all_sums_are_the_blocked_session_seconds(polls: list[LockSnapshot]) -> None:
    seen = watch(polls)
    expected_s = 0.0
    for before, after in pairwise(polls):
        elapsed_s = (after.sampled_at - before.sampled_at).total_seconds()
        for waiter in {one.waiter for one in after.shown_edges}:
            wait_s = max(one.wait_s or 0.0 for one in after.shown_edges if one.waiter == waiter)
            expected_s += min(elapsed_s, wait_s)
    assert seen.blocked_s == pytest.approx(expected_s)
    assert seen.pairs.blocked_s == pytest.approx(expected_s)
    assert seen.objects.blocked_s == pytest.approx(expected_s)
    assert seen.causes.blocked_s == pytest.approx(expected_s)
    assert seen.most_blocked == max(poll.blocked for poll in polls)
    assert max(moment.blocked or 0 for moment in seen.timeline) == seen.most_blocked
    # And it can be said.
    assert contention_table.text(seen)
    assert contention_json.document(seen)


@given(watches(), st.data())
def test_a_watch_split_at_any_poll_gives_the_same_sums(
    polls: list[LockSnapshot], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(polls) - 1))
    together: dict[object, float] = {}
    for part in (polls[: at + 1], polls[at:]):
        for key, blocked_s in seconds(watch(part)).items():
            together[key] = together.get(key, 0.0) + blocked_s
    assert together == pytest.approx(seconds(watch(polls)))


@given(watches(), st.randoms(use_true_random=False))
def test_the_order_of_edges_does_not_matter(polls: list[LockSnapshot], shuffler: random.Random) -> None:
    shuffled = []
    for poll in polls:
        groups = list(poll.groups)
        shuffler.shuffle(groups)
        shuffled.append(replace(poll, groups=tuple(groups)))
    assert watch(shuffled) == watch(polls)


def polls_of(*edges_at: tuple[float, tuple[Edge, ...]]) -> list[LockSnapshot]:
    polls: list[LockSnapshot] = []
    for after_s, edges in edges_at:
        polls.append(settle(polls[-1] if polls else None, snapshot(edges, after_s=after_s)))
    return polls


def test_a_wait_is_credited_from_its_beginning_and_counted_once() -> None:
    polls = polls_of(
        (0.0, ()),
        (1.0, (waiting(2, 1, 0.4),)),
        (2.0, (waiting(2, 1, 1.4),)),
        (3.0, ()),
    )
    seen = watch(polls)
    pair = Pair("tests/test_app.py::test_1", "tests/test_app.py::test_2")
    [(found, tally)] = seen.pairs.rows
    assert found == pair
    # What was waited after the last poll that saw it isn't known.
    assert tally.blocked_s == pytest.approx(1.4)
    assert (tally.waits, tally.longest_s) == (1, 1.4)
    assert [(one, tally.waits) for one, tally in seen.objects.rows] == [(LockedObject("t1", "SHARE"), 1)]
    assert [cause for cause, _ in seen.causes.rows] == ["same_row"]
    assert seen.waits == 1
    assert seen.watched_s == 3.0


def test_a_wait_that_began_before_the_sums_is_told_whole_and_known_as_such() -> None:
    polls = polls_of((0.0, (waiting(2, 1, 40.0),)), (1.0, (waiting(2, 1, 41.0),)))
    seen = watch(polls)
    assert seen.longest is not None
    assert (seen.blocked_s, seen.longest.wait_s) == (1.0, 41.0)
    assert seen.longest.began_before(seen.since)
    within = watch(polls_of((0.0, ()), (1.0, (waiting(2, 1, 0.4),)))).longest
    assert within is not None
    assert not within.began_before(seen.since)


def test_another_wait_of_the_same_two_is_counted_again() -> None:
    polls = polls_of((0.0, ()), (1.0, (waiting(2, 1, 0.9),)), (2.0, (waiting(2, 1, 0.5, request=1),)))
    [(_, tally)] = watch(polls).pairs.rows
    assert tally.blocked_s == pytest.approx(1.4)
    assert tally.waits == 2


def test_ghosts_are_not_counted() -> None:
    polls = polls_of((0.0, ()), (1.0, (waiting(2, 1, 0.05),)), (2.0, ()))
    seen = watch(polls)
    assert (seen.blocked_s, seen.waits, seen.most_blocked) == (0.0, 0, 0)
    assert seen.longest is None
    assert "Nothing was blocked." in contention_table.text(seen)


def test_a_gap_is_credited_only_to_a_wait_that_lasted_through_it() -> None:
    collected = ContentionMeter()
    before, after = polls_of(
        (0.0, (waiting(2, 1, 5.0), waiting(4, 3, 5.0))),
        (60.0, (waiting(2, 1, 65.0), waiting(4, 3, 0.5, request=1))),
    )
    collected.add(before)
    collected.interrupt()
    collected.add(after)
    seen = collected.result()
    assert seen is not None
    assert [tally.blocked_s for _, tally in seen.pairs.rows] == [60.0, 0.5]
    assert (seen.watched_s, seen.unwatched_s) == (0.0, 60.0)
    assert contention_table.headline(seen).endswith("watched for 0.0 s, not watched for 1 min, 2 polls")


def test_the_gap_is_blank_in_the_time_line() -> None:
    collected = ContentionMeter()
    for poll, gap in zip(polls_of((0.0, ()), (1.0, ()), (9.0, ()), (10.0, ())), (0, 1, 0, 0), strict=True):
        collected.add(poll)
        if gap:
            collected.interrupt()
    seen = collected.result()
    assert seen is not None
    blocked = [moment.blocked for moment in seen.timeline]
    assert blocked == [0] * 5 + [None] * 31 + [0] * 5
    assert "▁▁▁▁▁" + " " * 31 + "▁▁▁▁▁" in contention_table.chart(seen)


def test_time_is_split_over_the_root_blockers() -> None:
    chain = (waiting(3, 2, 9.0), waiting(2, 1, 9.0), waiting(3, 4, 9.0))
    seen = watch(polls_of((0.0, chain), (1.0, chain)))
    by_pair = {(pair.blocker[-1], pair.waiter[-1]): tally.blocked_s for pair, tally in seen.pairs.rows}
    assert by_pair == {("1", "2"): 1.0, ("1", "3"): 0.5, ("4", "3"): 0.5}


def test_a_deadlock_is_caught_once_and_its_time_goes_to_its_members() -> None:
    edges = (waiting(1, 2, 9.0), waiting(2, 1, 9.0), waiting(3, 1, 9.0))
    seen = watch(polls_of((0.0, edges), (1.0, edges), (2.0, edges), (3.0, ()), (4.0, ())))
    assert seen.deadlocks_caught == 1
    assert [one.who for one in seen.deadlocks[0].sessions] == ["test_1 (gw1, pid 1)", "test_2 (gw2, pid 2)"]
    by_pair = {(pair.blocker[-1], pair.waiter[-1]): tally.blocked_s for pair, tally in seen.pairs.rows}
    assert by_pair == {("2", "1"): 2.0, ("1", "2"): 2.0, ("1", "3"): 1.0, ("2", "3"): 1.0}
    assert [cause for cause, _ in seen.causes.rows] == ["deadlock"]


def test_the_same_sessions_deadlocked_again_are_another_deadlock() -> None:
    first = (waiting(1, 2, 9.0), waiting(2, 1, 9.0))
    again = (waiting(1, 2, 0.5, request=1), waiting(2, 1, 0.5, request=2))
    seen = watch(polls_of((0.0, first), (1.0, first), (2.0, again), (3.0, again)))
    assert seen.deadlocks_caught == 2


def test_who_names_no_test_goes_by_its_application() -> None:
    known = (session(1, "psql"), replace(session(2), application_name=""))
    polls = [
        settle(None, snapshot((waiting(2, 1, 9.0), waiting(3, 0, 9.0)), known, after_s=at_s))
        for at_s in (0, 1)
    ]
    assert [(pair.blocker, pair.waiter) for pair, _ in watch(polls).pairs.rows] == [
        ("prepared transaction a gid", "tests/test_app.py::test_3"),
        ("psql", "unnamed session"),
    ]


def test_a_name_that_becomes_known_later_is_the_same_object() -> None:
    named = waiting(2, 1, 9.0)
    unnamed = replace(named, lock=replace(named.lock, object="relation 16401"))
    seen = watch(polls_of((0.0, (unnamed,)), (1.0, (unnamed,)), (2.0, (named,))))
    [(locked, tally)] = seen.objects.rows
    assert (locked.object, tally.blocked_s, tally.waits) == ("t1", 2.0, 1)


def test_before_14_a_reconnect_does_not_count_a_wait_twice() -> None:
    collected = ContentionMeter()
    old = waiting(2, 1, None)
    before = polls_of((0.0, (old,)), (1.0, (old,)))
    after = polls_of((9.0, (old,)), (10.0, (old,)))
    for poll in (*before, *after):
        collected.add(poll)
    seen = collected.result()
    assert seen is not None
    assert (seen.blocked_s, seen.waits) == (2.0, 1)


def test_memory_stays_bounded_and_the_sums_exact() -> None:
    collected = ContentionMeter()
    previous: LockSnapshot | None = None
    polls = 3 * MOST_ROWS
    for number in range(polls):
        waiter = 10 + number
        one = waiting(waiter, 1, 0.5, table=number, request=number)
        previous = settle(previous, snapshot((one,), after_s=float(number)))
        collected.add(previous)
    seen = collected.result()
    assert seen is not None
    for ranking in (seen.pairs, seen.objects):
        assert len(ranking.rows) == MOST_ROWS
        assert ranking.others is not None
        assert ranking.blocked_s == pytest.approx(0.5 * (polls - 1))
    assert seen.waits == polls
    assert "and others: " in contention_table.text(seen)


def test_nothing_before_the_first_poll() -> None:
    assert ContentionMeter().result() is None


def test_a_wait_through_others_names_the_one_that_holds_the_lock() -> None:
    # 1 blocks 2 and 3, which hold what 4 wants; 5 is ahead of 4 in the queue, and 6 only behind 5.
    edges = (
        *(waiting(2, 1, 1.0), waiting(3, 1, 1.0, table=2)),
        *(waiting(4, 3, 1.0, table=3), waiting(4, 2, 1.0, table=3), waiting(4, 5, 1.0, "soft", table=3)),
        *(waiting(5, 2, 1.0, table=3), waiting(6, 5, 1.0, "soft", table=3)),
    )
    seen = watch(polls_of((0.0, edges), (1.0, edges)))
    direct = {pair.waiter.rpartition("_")[2]: wait.direct for pair, wait in seen.pair_waits.items()}
    assert direct == {
        "2": "",
        "3": "",
        "4": "test_2 (gw2, pid 2)",
        "5": "test_2 (gw2, pid 2)",
        "6": "test_5 (gw5, pid 5)",
    }
    [pair] = (one for one in seen.pair_waits if one.waiter.endswith("_6"))
    detail = pair_detail(seen, pair)
    assert detail is not None
    [on] = (text_of(one.lines[0]) for one in detail.texts if one.label == "On")
    assert on.startswith("row of t3 (id=0), behind test_5 (gw5, pid 5), seen at")
