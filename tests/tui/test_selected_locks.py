"""The locks of the selected session are in its pane, read once the selection has rested."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from pgwatch_tests.locks.model import HeldLock, Party
from pgwatch_tests.locks.snapshot.poll_interval import MANY_WAITERS
from pgwatch_tests.tui.answers import selected_locks
from pgwatch_tests.tui.answers.selected_locks import is_another_state
from screenshots.pictures import settled
from tests.locks.snapshots import session
from tests.tui.acting import until_drawn
from tests.tui.driving import Feed, blocked_snapshot, leak_report, screen_text, until

WIDE = (120, 30)


@dataclass
class Locks:
    """Tells the locks of each session; remembers of which they were asked for, and may be late."""

    asked: list[int] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    is_late: bool = False

    async def __call__(self, party: Party) -> tuple[HeldLock, ...] | None:
        self.asked.append(party.pid)
        await self.may_answer.wait()
        return None if self.is_late else (HeldLock(f"table of_{party.pid}\x1b", "ROW SHARE", True),)


@pytest.fixture
def locks() -> Locks:
    found = Locks()
    found.may_answer.set()
    return found


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selected_locks, "REST_S", 0.05)


async def test_they_are_in_the_pane_of_both_tabs(locks: Locks) -> None:
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard(read_held=locks)
    async with app.run_test(size=WIDE) as pilot:
        await until_drawn(pilot, "Holds ROW SHARE on table of_1␛")
        await pilot.press("down")
        await until_drawn(pilot, "Holds ROW SHARE on table of_2␛")
        await pilot.press("2", "home")
        await until_drawn(pilot, "Holds ROW SHARE on table of_")
        assert set(locks.asked) >= {1, 2}


async def test_polls_dont_read_them_again(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_SOON_S", "_AGAIN_S"):
        monkeypatch.setattr(selected_locks, name, 3600.0)  # however long the polls take
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard(read_held=locks)
    async with app.run_test(size=WIDE) as pilot:
        await until_drawn(pilot, "Holds ROW SHARE on table of_1␛")
        for after_s in range(1, 6):
            source.locks = blocked_snapshot(after_s=after_s)
            await pilot.press("r")
            await settled(pilot)
        assert locks.asked == [1]


async def test_who_moves_on_doesnt_read_what_is_in_between(
    locks: Locks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selected_locks, "REST_S", 0.5)
    source = Feed(blocked_snapshot(waiters=9), leak_report())
    app = source.dashboard(read_held=locks)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("end", "right", "home", *["down"] * 6)
        await until_drawn(pilot, "Holds ROW SHARE on table of_")
        assert len(locks.asked) <= 2


async def test_an_answer_for_another_row_isnt_shown(locks: Locks) -> None:
    locks.may_answer.clear()
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard(read_held=locks)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: locks.asked == [1])
        assert "Holds …" in screen_text(app)
        await pilot.press("down")
        locks.may_answer.set()
        await until_drawn(pilot, "Holds ROW SHARE on table of_2␛")
        assert "of_1" not in screen_text(app)


async def test_a_late_answer_says_so(locks: Locks) -> None:
    locks.is_late = True
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard(read_held=locks)
    async with app.run_test(size=WIDE) as pilot:
        await until_drawn(pilot, "Holds not read in time: enter tries again")


async def test_a_busy_server_isnt_asked(locks: Locks) -> None:
    source = Feed(blocked_snapshot(waiters=MANY_WAITERS + 1), leak_report())
    app = source.dashboard(read_held=locks)
    async with app.run_test(size=WIDE) as pilot:
        await until_drawn(pilot, f"Holds not read while {MANY_WAITERS + 1} sessions wait: enter reads them")
        assert locks.asked == []
        source.locks = replace(blocked_snapshot(), wanted_databases=frozenset({5}))
        await pilot.press("r")
        await until_drawn(pilot, "not read while a database is dropped, altered or copied")
        source.locks = blocked_snapshot(after_s=1.0)
        await pilot.press("r")
        await until_drawn(pilot, "Holds ROW SHARE on table of_1␛")


async def test_those_of_the_past_arent_known(locks: Locks) -> None:
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard(read_held=locks)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: app.data.past is not None)
        await until_drawn(pilot, "Holds ROW SHARE on table of_1␛")
        source.locks = blocked_snapshot(after_s=5.0)
        await pilot.press("r")
        await settled(pilot)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "Holds" not in screen_text(app))


@pytest.mark.parametrize(("state_age_s", "is_another"), [(5.1, False), (4.9, True), (None, False)])
def test_a_state_that_has_begun_since_is_another_one(state_age_s: float | None, is_another: bool) -> None:
    assert is_another_state(replace(session(1), state_age_s=state_age_s), 5.0) == is_another
    assert not is_another_state(None, 5.0)


async def test_they_are_read_again_soon_once_the_session_does_something_else(
    locks: Locks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selected_locks, "_SOON_S", 0.0)
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard(read_held=locks)
    async with app.run_test(size=WIDE) as pilot:
        await until_drawn(pilot, "Holds ROW SHARE on table of_1␛")
        assert locks.asked == [1]
        now = blocked_snapshot(after_s=1)
        source.locks = replace(
            now,
            sessions=tuple(replace(one, state_age_s=0.0) if one.pid == 1 else one for one in now.sessions),
        )
        await pilot.press("r")
        await until(pilot, lambda: locks.asked[:2] == [1, 1])
