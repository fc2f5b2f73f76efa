"""Glances between two reads: what they save is reading, not a second of what anybody has waited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.locks.contention.contention import Contention, ContentionMeter
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.glance import Glance, later
from pgwatch_tests.tui.answers.latest_answers import LatestAnswers
from pgwatch_tests.tui.answers.lock_polls import LockPolls
from tests.locks.contention.test_contention import seconds, watches
from tests.locks.snapshots import MOMENT, edge, session, snapshot


def glance(at: datetime, fingerprint: int = 1) -> Glance:
    return Glance(fingerprint, at, 0.001)


def contention(latest: LatestAnswers) -> Contention:
    seen = latest.contention
    assert seen is not None
    return seen


@given(watches(), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_the_sums_are_those_of_polls_in_full(polls: list[LockSnapshot], glances: list[int]) -> None:
    latest, meter = LatestAnswers(0.0), ContentionMeter()
    after = [following.sampled_at for _, following in pairwise(polls)]
    for poll, number, until in zip(polls, glances, [*after, None], strict=False):
        latest.take_locks(poll, 0.0, paused=False)
        meter.add(poll)
        for one in range(number):
            by = (until - poll.sampled_at) / (number + 1) if until else timedelta(seconds=0.5)
            at = poll.sampled_at + by * (one + 1)
            latest.take_glance(glance(at), 0.0, paused=False)
            meter.add(later(poll, at))
    seen, expected = contention(latest), meter.result()
    assert expected is not None
    assert seconds(seen) == pytest.approx(seconds(expected))
    for name in ("until", "polls", "waits", "most_blocked", "timeline"):
        assert getattr(seen, name) == getattr(expected, name), name
    assert (seen.watched_s, seen.blocked_s) == pytest.approx((expected.watched_s, expected.blocked_s))


def test_a_trouble_lasted_until_the_last_glance() -> None:
    latest = LatestAnswers(0.0)
    latest.take_locks(settle(None, snapshot((edge(2, 1, wait_s=0.5),))), 0.0, paused=False)
    latest.take_glance(glance(MOMENT + timedelta(seconds=4)), 4.0, paused=False)
    assert latest.age_s(4.9) == 0
    latest.take_locks(snapshot((), (session(1),), after_s=5), 5.0, paused=False)
    assert [one.longest_s for one in latest.troubles] == [4.5]


def test_what_is_restarted_after_a_glance_begins_with_it() -> None:
    latest, waiting = LatestAnswers(0.0), snapshot((edge(2, 1, wait_s=10.0),))
    latest.take_locks(settle(None, waiting), 0.0, paused=False)
    latest.take_glance(glance(MOMENT + timedelta(seconds=4)), 4.0, paused=False)
    latest.reset_contention(paused=False)
    latest.take_locks(settle(None, later(waiting, MOMENT + timedelta(seconds=5))), 5.0, paused=False)
    assert contention(latest).blocked_s == pytest.approx(1.0)


def test_a_pause_after_a_glance_is_not_watched() -> None:
    latest, waiting = LatestAnswers(0.0), snapshot((edge(2, 1, wait_s=10.0),))
    latest.take_locks(settle(None, waiting), 0.0, paused=False)
    latest.interrupt()
    latest.take_glance(glance(MOMENT + timedelta(seconds=4)), 4.0, paused=True)
    latest.take_locks(settle(None, later(waiting, MOMENT + timedelta(seconds=9))), 9.0, paused=False)
    seen = contention(latest)
    assert (seen.watched_s, seen.unwatched_s) == (0.0, 9.0)


def needs_all(*polls: LockSnapshot) -> bool:
    """Whether all has to be read after these, though they are drawn."""
    latest = LatestAnswers(0.0)
    for poll in polls:
        latest.take_locks(poll, 0.0, paused=False)
    latest.force_redraw()
    assert latest.needs_redraw(0.0, 2.0)
    return latest.needs_all(0.0, 2.0)


def test_what_is_not_sure_is_read_again() -> None:
    sure = settle(None, snapshot((edge(2, 1),)))
    assert not needs_all(sure)
    assert needs_all(settle(None, snapshot((edge(2, 1, wait_s=0.01),))))
    cycle = edge(2, 1), edge(1, 2)
    probable = settle(None, snapshot(cycle))
    certain = settle(probable, snapshot(cycle, after_s=0.5))
    assert needs_all(probable)
    assert needs_all(probable, certain)
    # Until it is known which of them was ended.
    over = settle(certain, snapshot((edge(4, 3),), (session(1), session(2)), after_s=1))
    assert needs_all(probable, certain, over)
    state = "idle in transaction (aborted)"
    victim = replace(session(1), state=state, xact_age_s=3.5, query_age_s=3.0)
    told = settle(certain, snapshot((edge(4, 3),), (victim, session(2)), after_s=1))
    assert not needs_all(probable, certain, told)


def test_a_picture_is_read_in_full_when_it_is_due() -> None:
    latest = LatestAnswers(0.0)
    assert latest.needs_all(0.0, 2.0)
    latest.take_locks(settle(None, snapshot((edge(2, 1),))), 0.0, paused=False)
    assert latest.needs_redraw(0.0, 2.0)
    assert not latest.needs_all(1.5, 2.0)
    assert latest.needs_all(1.95, 2.0)
    latest.force_redraw()
    assert latest.needs_all(0.5, 2.0)


async def test_all_is_read_once_the_waits_differ() -> None:
    fingerprints: Iterator[int | None] = iter([1, 1, 1, 2, 2, 2, None, 2, 2])
    waiting, reads = settle(None, snapshot((edge(2, 1),))), 0

    async def read() -> LockSnapshot:
        nonlocal reads
        reads += 1
        return waiting

    async def look() -> Glance | None:
        found = next(fingerprints)
        return None if found is None else glance(MOMENT, found)

    polls = LockPolls(read, look)
    kinds = [type(await polls.poll(in_full=number == 2)) for number in range(10)]
    # The first one finds that anything waits, the second what the waits are called.
    assert [kind is Glance for kind in kinds] == [
        *(False, False, False, True),
        *(False, True, True, False),
        *(False, True),
    ]
    assert reads == kinds.count(LockSnapshot)
