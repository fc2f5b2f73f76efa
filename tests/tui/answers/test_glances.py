"""Glances between two reads: what they save is reading, not a second of what anybody has waited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.locks.contention.contention import Contention, ContentionMeter
from pgwatch_tests.locks.graph.lock_graph import graph_of
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.locks.snapshot.glance import Glance, later
from pgwatch_tests.tui.answers.latest_answers import LatestAnswers
from pgwatch_tests.tui.answers.lock_polls import LockPolls, Unchanged, Wanted
from tests.locks.contention.test_contention import seconds, watches
from tests.locks.snapshots import MOMENT, edge, session, snapshot


def glance(at: datetime, waits: int = 1, sessions: int | None = None) -> Glance:
    return Glance(waits, sessions, at, 0.001)


def go_on(latest: LatestAnswers, at: datetime, now_s: float = 0.0, *, paused: bool = False) -> None:
    """All that waited at the newest snapshot still waits."""
    assert latest.take(glance(at), now_s, 2.0, paused=paused) == ("", False)


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
            go_on(latest, at)
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
    go_on(latest, MOMENT + timedelta(seconds=4), 4.0)
    assert latest.age_s(4.9) == 0
    latest.take_locks(snapshot((), (session(1),), after_s=5), 5.0, paused=False)
    assert [one.longest_s for one in latest.troubles] == [4.5]


def test_what_is_restarted_after_a_glance_begins_with_it() -> None:
    latest, waiting = LatestAnswers(0.0), snapshot((edge(2, 1, wait_s=10.0),))
    latest.take_locks(settle(None, waiting), 0.0, paused=False)
    go_on(latest, MOMENT + timedelta(seconds=4), 4.0)
    latest.reset_contention(paused=False)
    latest.take_locks(settle(None, later(waiting, MOMENT + timedelta(seconds=5))), 5.0, paused=False)
    assert contention(latest).blocked_s == pytest.approx(1.0)


def test_a_pause_after_a_glance_is_not_watched() -> None:
    latest, waiting = LatestAnswers(0.0), snapshot((edge(2, 1, wait_s=10.0),))
    latest.take_locks(settle(None, waiting), 0.0, paused=False)
    latest.interrupt()
    go_on(latest, MOMENT + timedelta(seconds=4), 4.0, paused=True)
    latest.take_locks(settle(None, later(waiting, MOMENT + timedelta(seconds=9))), 9.0, paused=False)
    seen = contention(latest)
    assert (seen.watched_s, seen.unwatched_s) == (0.0, 9.0)


def wanted(*polls: LockSnapshot) -> Wanted:
    """What the poll after these has to tell, once they are drawn."""
    latest = LatestAnswers(0.0)
    for poll in polls:
        latest.take_locks(poll, 0.0, paused=False)
    latest.force_redraw()
    assert latest.needs_redraw(0.0, 2.0)
    return latest.wanted(0.0, 2.0)


def test_what_is_not_sure_is_read_again() -> None:
    sure = settle(None, snapshot((edge(2, 1),)))
    assert wanted(sure) == "waits"
    assert wanted(settle(None, snapshot((edge(2, 1, wait_s=0.01),)))) == "all"
    cycle = edge(2, 1), edge(1, 2)
    probable = settle(None, snapshot(cycle))
    certain = settle(probable, snapshot(cycle, after_s=0.5))
    assert wanted(probable) == "all"
    assert wanted(probable, certain) == "all"
    # Until it is known which of them was ended.
    over = settle(certain, snapshot((edge(4, 3),), (session(1), session(2)), after_s=1))
    assert wanted(probable, certain, over) == "all"
    state = "idle in transaction (aborted)"
    victim = replace(session(1), state=state, xact_age_s=3.5, query_age_s=3.0)
    told = settle(certain, snapshot((edge(4, 3),), (victim, session(2)), after_s=1))
    assert wanted(probable, certain, told) == "waits"


def test_a_picture_is_read_in_full_when_it_is_due() -> None:
    latest = LatestAnswers(0.0)
    assert latest.wanted(0.0, 2.0) == "all"
    latest.take_locks(settle(None, snapshot((edge(2, 1),))), 0.0, paused=False)
    assert latest.needs_redraw(0.0, 2.0)
    assert latest.wanted(1.5, 2.0) == "waits"
    assert latest.wanted(1.95, 2.0) == "picture"
    latest.force_redraw()
    assert latest.wanted(0.5, 2.0) == "all"


@dataclass
class Server:
    """Reads are of one waiter; glances are of what `glances` says, one after the other."""

    glances: Sequence[tuple[int, int] | None]
    reads: int = 0
    after_s: float = 0.0

    async def read(self) -> LockSnapshot:
        self.reads += 1
        return settle(None, snapshot((edge(2, 1),), after_s=self.after_s))

    async def look(self, sessions: bool) -> Glance | None:
        seen, *self.glances = self.glances
        at = MOMENT + timedelta(seconds=self.after_s)
        return None if seen is None else glance(at, seen[0], seen[1] if sessions else None)

    async def seen(self, wanted: str, step_s: float = 0.5) -> str:
        """What each poll found, r(ead), g(lance) or u(nchanged), if w(aits), p(icture) or a(ll) is wanted."""
        kinds: dict[str, Wanted] = {"w": "waits", "p": "picture", "a": "all"}
        polls, found = LockPolls(self.read, self.look), ""
        for one in (kinds[letter] for letter in wanted):
            self.after_s += step_s
            seen = await polls.poll(one)
            found += "r" if isinstance(seen, LockSnapshot) else "g" if isinstance(seen, Glance) else "u"
        return found


async def test_all_is_read_once_the_waits_differ() -> None:
    server = Server([(1, 7), (1, 7), (1, 7), (2, 7), (2, 7), None, (2, 7), (2, 7)])
    # The first one finds that anything waits, the second what the waits are called.
    assert await server.seen("w" * 9) == "rrggrgrrg"
    assert server.reads == 5


async def test_a_picture_of_what_has_not_changed_is_not_read() -> None:
    server = Server([(1, 7)] * 4 + [(1, 8), (1, 8)])
    assert await server.seen("apwppp") == "rrguur"
    # After a miss it isn't looked for each time.
    server = Server([(1, number) for number in range(20)])
    assert await server.seen("a" + "p" * 9) == "r" * 10
    assert await server.seen("aaaa") == "rrrr"


async def test_what_has_not_changed_is_read_now_and_then() -> None:
    server = Server([(1, 7)] * 30)
    seen = await server.seen("a" + "p" * 9, step_s=10.0)
    assert seen == "rruuruuruu"


def test_durations_grow_though_nothing_is_read() -> None:
    latest = LatestAnswers(0.0)
    first = settle(None, snapshot((edge(2, 1),)))
    assert latest.take(first, 0.0, 2.0, paused=False) == ("", True)
    trees = graph_of(first).trees
    at = MOMENT + timedelta(seconds=2)
    assert latest.take(Unchanged(later(first, at), 0.001), 2.0, 2.0, paused=False) == ("", True)
    assert latest.graph is not None
    assert latest.graph.trees is trees
    assert latest.graph.wait_s(Party(2)) == 3.0
    assert latest.graph.sessions[Party(1)].state_age_s == 4.0
    assert contention(latest).blocked_s == pytest.approx(2.0)


async def test_a_second_look_follows_what_one_poll_does_not_make_sure_of() -> None:
    sure = replace(settle(None, snapshot((edge(2, 1),))), spent_s=0.002)
    first_wait = replace(settle(None, snapshot((edge(2, 1, wait_s=0.01),))), spent_s=0.002)
    deadlock = replace(settle(None, snapshot((edge(2, 1), edge(1, 2)))), spent_s=0.002)

    async def read() -> LockSnapshot:
        return sure

    polls = LockPolls(read, None)
    await polls.poll("all")
    paces = [polls.pause_s(sure, idle_s) for idle_s in (0.5, 1.0, 2.0, 30.0)]
    assert paces == pytest.approx([0.248, 0.248, 2 / 3 - 0.002, 0.748])
    # A deadlock is over within deadlock_timeout, 1 s by default: 0.75 and 0.15 s are less.
    assert [polls.pause_s(one, 2.0) for one in (deadlock, first_wait)] == [0.15, 0.15]
    assert polls.pause_s(replace(deadlock, spent_s=0.02), 2.0) == pytest.approx(0.38)
