"""The replay by its keys, on recordings that were written as any other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from textual.pilot import Pilot

from pgwatch_tests.errors import RecordingError
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.record.model import Mark, RecordingHeader
from pgwatch_tests.record.recording.writer import RecordingWriter
from pgwatch_tests.record.replay.source import Picture, ReplaySource, opened
from pgwatch_tests.tui.replay.app import ReplayDashboard
from pgwatch_tests.tui.replay.time_line import TimeLine
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.record.recordings import BEGAN, leak_report, make_recording, story
from tests.tui import contrast
from tests.tui.driving import screen_text, text_of, until
from tests.tui.test_contrast import AT_LEAST
from tests.tui.test_dashboard import HOSTILE, SIZES

pytestmark = pytest.mark.usefixtures("utc")

T = TypeVar("T")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recording(tmp_path_factory.mktemp("replay") / "ci.pgwatch", shard="db-1", leaks=leak_report())


async def in_thread(work: Callable[[], T], name: str) -> T:
    return await asyncio.to_thread(work)


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@asynccontextmanager
async def replaying(
    *files: Path,
    size: tuple[int, int] = (80, 24),
    at: datetime | None = None,
    clock: Callable[[], float] = lambda: 0.0,
    export_to: Path | None = None,
) -> AsyncIterator[tuple[ReplayDashboard, Pilot[int]]]:
    """A replay, once its time line is there."""
    with opened(files) as source:
        app = ReplayDashboard(source, at or source.opens_at, in_thread, clock=clock, export_to=export_to)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.data.picture is not None and drawn_line(app))
            yield app, pilot


def drawn_line(app: ReplayDashboard) -> bool:
    return bool(str(app.query_one(TimeLine).render()).strip())


async def told(pilot: Pilot[int], key: str) -> str:
    """The notification that follows a key."""
    # The oldest go where there are too many: their number tells nothing.
    before = {one.identity for one in pilot.app._notifications}
    await pilot.press(key)
    await until(pilot, lambda: any(one.identity not in before for one in pilot.app._notifications))
    return list(pilot.app._notifications)[-1].message


async def press(pilot: Pilot[int], *keys: str, then: str) -> str:
    """The screen once it contains `then`, after these keys."""
    await pilot.press(*keys)
    await until(pilot, lambda: then in screen_text(pilot.app))
    return screen_text(pilot.app)


def faint(app: ReplayDashboard) -> list[contrast.Drawn]:
    """Pieces of text that don't stand out from their ground (WCAG 2)."""
    return [one for one in contrast.drawn(app.export_screenshot()) if one.contrast < AT_LEAST]


@pytest.mark.parametrize("size", SIZES)
async def test_the_longest_wait_with_what_it_is_a_recording_of(file: Path, size: tuple[int, int]) -> None:
    async with replaying(file, size=size) as (app, pilot):
        await settled(pilot)
        drawn = screen_text(app).splitlines()
        assert drawn[0].startswith(" Recording · ci.pgwatch · 12:00:07.25 UTC · paused ×1 · run 0badcafe")
        assert ("shard db-1 · 7.2 s of 20 s" in drawn[0]) == (size[0] > 80)
        assert "2 blocked" in drawn[1]
        assert drawn[2].startswith(" ● test_books blocks 2 tests for 3.2 s")
        assert "5 rows leaked at the end" in drawn[2]
        assert "0.25 s apart: seen, not ran" in drawn[1]
        assert any("├ test_cancels" in line and " 101 " in line for line in drawn)
        assert "left a transaction open" in screen_text(app)
        # It is past: nobody is told to end a session that is another one by now.
        assert "pg_terminate_backend" not in screen_text(app)
        assert "▅▅█████" in drawn[-3]
        assert drawn[-2].startswith(" 12:00:00 UTC ")
        assert drawn[-2].rstrip().endswith("12:00:20 UTC")
        assert " ▲ " in drawn[-2]
        assert " D " in drawn[-2]
        assert max(map(len, drawn)) <= size[0]
        assert "Sweeps" not in screen_text(app)
        offered = {key for key, one in app.screen.active_bindings.items() if one.binding.show and one.enabled}
        steps = {"full_stop", "comma", "greater_than_sign", "less_than_sign", "plus", "minus"}
        moves = {"space", "t", *"nNdDmM"}
        assert offered == {"q", "question_mark", "slash", "enter", "y", "e", *steps, *moves}
        help_ = await press(pilot, "question_mark", then="Go to the next wait")
        assert "Play or pause" in help_
        await pilot.press("C", "K", "r", "x", "5", "escape", "C", "K", "r", "x", "5")
        await settled(pilot)
        assert screen_text(app).splitlines() == drawn
        # Each refusal takes the place of the one before.
        assert [one.message for one in app._notifications] == ["5 (Sweeps) is for a live server."]
        app.theme = "textual-dark" if size[0] == 80 else "textual-light"
        await settled(pilot)
        assert not faint(app)
        await press(pilot, "t", then="13:05:12 or test_booking")
        box = app.screen.query_one("#box").region
        assert not [one for one in faint(app) if box.contains(one.column, one.line)]


async def test_steps_and_jumps(file: Path) -> None:
    async with replaying(file) as (app, pilot):
        await press(pilot, "full_stop", then="12:00:07.50")
        assert "Nothing is blocked" in screen_text(app)
        await press(pilot, "comma", "left", then="12:00:07.00")
        await press(pilot, "right", "right", "right", then="12:00:07.75")
        await press(pilot, "greater_than_sign", then="12:00:17.75")
        await press(pilot, "shift+left", then="12:00:07.75")
        await press(pilot, "less_than_sign", then="12:00:00.00")
        await press(pilot, "n", then="12:00:04.25")
        # Keys typed in one go: each goes on from where the one before led.
        await press(pilot, "n", "n", "n", then="12:00:15.25")
        assert await told(pilot, "n") == "No wait after this moment."
        assert "12:00:15.25" in screen_text(app)
        await press(pilot, "N", then="12:00:10.25")
        assert " deadlock · " in await press(pilot, "d", then="12:00:10.50")
        assert await told(pilot, "D") == "No deadlock before this moment."
        await press(pilot, "end", then="12:00:20.00")
        assert await told(pilot, "full_stop") == "This is the last sample."
        await press(pilot, "home", then="12:00:00.00")
        assert await told(pilot, "m") == "No mark after this moment."


async def test_going_to_a_time_or_a_test(file: Path) -> None:
    async with replaying(file) as (app, pilot):
        await press(pilot, "t", then="A time: 13:05")
        await press(pilot, *"zz", "enter", then="no test seen in the recording has 'zz'")
        await press(pilot, "backspace", "backspace", *"13:00", "enter", then="13:00 isn't in the recording")
        # Arrows move in what is typed, not in the recording.
        await pilot.press("home", "right", "delete", "2", "end", *":10.3", "enter")
        await until(pilot, lambda: "12:00:10.30" in screen_text(app))
        await press(pilot, "t", *"PS_B", "enter", then="12:00:09.50")
        await press(pilot, "t", "5", "0", "%", "enter", then="12:00:10.00")
        await pilot.press("t", "escape")
        await pilot.click("#time-line", offset=(1, 0))
        await until(pilot, lambda: "12:00:00.1" in screen_text(app))


async def test_playing_by_a_clock(file: Path) -> None:
    clock = Clock()
    async with replaying(file, clock=clock, at=BEGAN) as (app, pilot):
        await press(pilot, "space", then="playing ×1")
        clock.now_s = 5.1
        await until(pilot, lambda: "├ test_cancels" in screen_text(app))
        assert "12:00:05.10" in screen_text(app)
        await press(pilot, "plus", "plus", then="playing ×4")
        clock.now_s += 1.3
        await until(pilot, lambda: "test_swaps_a" in screen_text(app))
        assert "12:00:10.30" in screen_text(app)
        await press(pilot, "minus", then="playing ×2")
        await press(pilot, "space", then="paused ×2")
        clock.now_s += 5
        await pilot.pause(0.2)
        assert "12:00:10.30" in screen_text(app)
        await press(pilot, "space", then="playing ×2")
        clock.now_s += 60
        await until(pilot, lambda: "12:00:20.00 UTC · paused" in screen_text(app))
        await until(pilot, lambda: "Nothing is blocked" in screen_text(app))
        await press(pilot, "space", then="12:00:00.00 UTC · playing")
        # A step is a look at one sample.
        await press(pilot, "full_stop", then="12:00:00.25 UTC · paused")


def exported(folder: Path) -> dict[str, object]:
    [path] = folder.iterdir()
    document: dict[str, object] = json.loads(path.read_text())
    return document


async def test_tabs_of_a_moment(file: Path, tmp_path: Path) -> None:
    async with replaying(file, size=(160, 24), export_to=tmp_path) as (_, pilot):
        drawn = await press(pilot, "2", then="idle in tx")
        assert "UPDATE bookings SET" in drawn
        drawn = await press(pilot, "3", then="public.users")
        assert "5 leaked rows, 1 leftover" in drawn
        drawn = await press(pilot, "4", then="5.9 s blocked · 2 waits · longest 3.2 s · peak 2")
        assert "s: group by another" in drawn
        assert "x: restart" not in drawn
        await press(pilot, "n", then="6.8 s blocked · 4 waits")
        await press(pilot, "home", then="Nothing has been blocked since 12:00:00 UTC.")
        drawn = await press(pilot, "end", then="8.9 s blocked · 5 waits")
        assert "deadlocks: 1 seen" in drawn
        await press(pilot, "s", then="row of bookings")
        assert "wrote " in await told(pilot, "e")
        assert exported(tmp_path)["waits"] == 5
        await press(pilot, "1", "t", *"+5s", "enter", then="101")
        await press(pilot, "down", "enter", then="waits 1.0 s for row of bookings (id=42)")


@contextmanager
def written(path: Path, snapshots: list[LockSnapshot]) -> Iterator[RecordingWriter]:
    with RecordingWriter(path, RecordingHeader(BEGAN), clock=lambda: 0.0) as writer:
        for snapshot in snapshots:
            writer.add(snapshot, snapshot.sampled_at.timestamp())
        yield writer


async def test_a_gap_is_no_time_in_which_nothing_was_blocked(tmp_path: Path) -> None:
    path, polls = tmp_path / "gap.pgwatch", list(story())
    with written(path, [one for one in polls if one.sampled_at <= BEGAN + timedelta(seconds=5)]) as writer:
        writer.interrupt("gone", BEGAN.timestamp() + 5.5)
        for one in polls[60:]:
            writer.add(one, one.sampled_at.timestamp())
    async with replaying(path, at=BEGAN + timedelta(seconds=8)) as (app, pilot):
        drawn = screen_text(app)
        assert "Not watched from 12:00:05 UTC to 12:00:15 UTC" in drawn
        assert "Nothing is known of that time." in " ".join(text_of(app, "#no-locks").split())
        assert "Nothing is blocked" not in drawn
        assert "░░░░░░" in drawn
        assert "No other sessions" not in await press(pilot, "2", then="Nothing is known")
        await press(pilot, "4", then="not watched")
        await press(pilot, "1", "full_stop", then="12:00:15.00")
        assert not app.query_one("#banner").display


async def test_where_a_suite_was_stopped_or_killed(tmp_path: Path) -> None:
    killed = make_recording(tmp_path / "killed.pgwatch", seconds=6.0, killed=True)
    async with replaying(killed) as (app, pilot):
        assert "The recording breaks off here" in screen_text(app)
        assert "├ test_cancels" in screen_text(app)
        assert "X" in screen_text(app).splitlines()[-2]
        await press(pilot, "comma", then="12:00:05.75")
        assert "breaks off" not in screen_text(app)
        await press(pilot, "3", then="has no check for leaks")
        assert "leaked" not in text_of(app, "#verdict")
    words = "hang: blocked for 5 s behind \x1b[31m[b]a[/b]\n│ tree"
    hang = Mark(BEGAN + timedelta(seconds=5.6), "hang", words)
    hung = make_recording(tmp_path / "hung.pgwatch", marks=(hang,))
    async with replaying(hung, at=BEGAN) as (app, pilot):
        drawn = await press(pilot, "m", then="12:00:05.60")
        assert " Hang: blocked for 5 s behind ␛[31m[b]a[/b]" in drawn
        assert "tree" not in drawn
        assert "H" in drawn.splitlines()[-2]


async def test_hostile_text_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "[red]\x1b[31m東京.pgwatch"
    polls = [
        replace(
            one,
            database=HOSTILE,
            sessions=tuple(
                replace(session, application_name=HOSTILE, query=HOSTILE * 3) for session in one.sessions
            ),
            groups=tuple(
                replace(group, lock=replace(group.lock, target=HOSTILE, object=HOSTILE))
                for group in one.groups
            ),
        )
        for one in story(seconds=6.0)
    ]
    with written(path, polls) as writer:
        writer.mark(Mark(BEGAN + timedelta(seconds=5), "hang", HOSTILE))
    async with replaying(path) as (app, pilot):
        for key in ("2", "3", "4", "1"):
            await pilot.press(key)
            await settled(pilot)
            drawn = screen_text(app)
            assert "\x1b" not in drawn
            assert len(drawn.splitlines()) <= 24
        assert "[red]" in screen_text(app).splitlines()[0]
        assert "\x1b" not in await press(pilot, "M", then="Hang: ")


async def test_what_can_no_longer_be_read_is_told_and_the_last_picture_stays(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_source: ReplaySource, _moment: datetime) -> Picture:
        raise RecordingError("the recording ci.pgwatch is damaged")

    async with replaying(file) as (app, pilot):
        monkeypatch.setattr(ReplaySource, "picture", damaged)
        await press(pilot, "space", "end", then="ci.pgwatch is damaged")
        assert app.query_one("#lock-tree", LiveTable).row_count
        monkeypatch.undo()
        drawn = await press(pilot, "home", then="Nothing is blocked")
        assert "damaged" not in drawn
        await pilot.press("q")
    assert not app.is_running


async def test_the_palette_has_what_the_keys_do(file: Path) -> None:
    async with replaying(file) as (app, pilot):
        commands = {one.name: one.run for one in app.commands()}
        assert {"Play", "Next wait", "Previous deadlock", "Go to", "Faster"} <= set(commands)
        commands["Deadlock"]()
        await until(pilot, lambda: "12:00:10.50" in screen_text(app))
