"""While something waits, polls are frequent; what they draw is news, and times at the slower pace."""

from __future__ import annotations

from dataclasses import replace

from textual.pilot import Pilot

from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.text.toned_text import text_of
from pgwatch_tests.tui.answers.latest_answers import LatestAnswers, fingerprint
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.driving import Feed, leak_report, screen_text

PACE_S = 10.0


def waiting(wait_s: float, *more: int) -> LockSnapshot:
    edges = [edge(pid, 1, wait_s=wait_s) for pid in (2, *more)]
    return settle(None, snapshot(tuple(edges), (session(1, state="idle in transaction"),), wait_s))


async def next_poll(pilot: Pilot[int], source: Feed) -> None:
    """The poll after the present one has been told."""
    enough = source.polls + 2
    while source.polls < enough:
        source.asked.clear()
        await source.asked.wait()
    await pilot.pause()


def test_only_durations_are_no_news() -> None:
    assert fingerprint(waiting(1.0)) == fingerprint(waiting(7.0))
    assert fingerprint(waiting(1.0)) != fingerprint(waiting(1.0, 3))
    before = waiting(1.0)
    hidden = tuple(replace(one, state="active") for one in before.sessions)
    assert fingerprint(before) != fingerprint(replace(before, sessions=hidden))


async def test_times_alone_are_drawn_at_the_slower_pace_and_news_at_once() -> None:
    source = Feed(waiting(1.0), leak_report())
    app = source.dashboard(refresh_s=PACE_S)
    async with app.run_test(size=(140, 40)) as pilot:
        await next_poll(pilot, source)
        source.locks = waiting(731.0)
        await next_poll(pilot, source)
        assert "12 min" not in screen_text(app)
        source.now_s += PACE_S
        await next_poll(pilot, source)
        assert "12 min" in screen_text(app)
        source.locks = waiting(3700.0, 3)
        await next_poll(pilot, source)
        assert "1 h" in screen_text(app)


async def test_a_refresh_by_hand_is_drawn() -> None:
    source = Feed(waiting(1.0), leak_report())
    app = source.dashboard(refresh_s=PACE_S)
    async with app.run_test(size=(140, 40)) as pilot:
        await next_poll(pilot, source)
        source.locks = waiting(731.0)
        await pilot.press("r")
        await next_poll(pilot, source)
        assert "12 min" in screen_text(app)


def test_what_is_said_until_there_is_an_answer() -> None:
    latest = LatestAnswers(0.0)
    assert not latest.count_down(0.0, paused=False)
    assert text_of(latest.absence).startswith("Waiting")
    latest.fail("connection refused", 12.0)
    assert latest.count_down(10.5, paused=False)
    assert "Trying again in 2 s." in text_of(latest.absence)
    assert not latest.count_down(10.6, paused=False)
    assert latest.count_down(11.5, paused=False)
    assert "Trying again in 1 s." in text_of(latest.absence)
    assert latest.count_down(11.6, paused=True)
    latest.take_locks(waiting(1.0), 12.0, paused=False)
    latest.fail("gone", 13.0)
    assert not latest.count_down(12.0, paused=False)
