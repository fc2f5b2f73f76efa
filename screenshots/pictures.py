"""The dashboard, driven on a recording and drawn as SVG."""

from __future__ import annotations

import asyncio
import html
import re
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from textual.pilot import Pilot

from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.actions.action import Action, Outcome
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.glance import later
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.tabs.sweep_desk import SweepDesk
from screenshots.recording import Recording
from screenshots.zone import local_zone

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"

_REFRESH, _BETWEEN_POLLS = "r", timedelta(seconds=1)
"""All that was recorded goes on from one refresh to the next: what is blocked adds up."""

# name -> size, and the keys that lead there
_SCENES: dict[str, tuple[tuple[int, int], tuple[str, ...]]] = {
    "locks.svg": ((116, 32), ()),
    "locks-80x24.svg": ((80, 24), ("down",)),
    "sessions.svg": ((116, 32), ("2",)),
    "leaks.svg": ((116, 32), ("3",)),
    "contention.svg": ((116, 32), (*[_REFRESH] * 6, "4")),
    "sweeps.svg": ((116, 32), ("5", "p")),
    "detail.svg": ((116, 32), ("down", "enter")),
}
# What the name of a picture ends with, by the theme that it is drawn in.
_THEMES = {"": "pgwatch-dark", "-light": "pgwatch-light"}
_MOST_PAUSES = 200
_VERSION = re.compile(r"<!-- textual (\S+) -->")
_TEXT = re.compile(r'<text [^>]*y="([\d.]+)"[^>]*>([^<]*)</text>')


def draw(recording: Recording) -> dict[str, str]:
    """All pictures by file name. The last snapshot of `recording` is what they show, in its time zone."""
    with local_zone(recording.zone):
        return asyncio.run(_draw_all(recording))


async def _draw_all(recording: Recording) -> dict[str, str]:
    return {
        name.replace(".svg", f"{ending}.svg"): await _draw(recording, size, keys, theme)
        for name, (size, keys) in _SCENES.items()
        for ending, theme in _THEMES.items()
    }


class _RecordedSweep:
    """A preview that tells what was recorded."""

    def __init__(self, report: SweepReport) -> None:
        self._report = report

    async def run(self) -> SweepReport:
        return self._report

    def stop(self) -> None:
        """Does nothing: it is over at once."""

    cancel = stop


def _desk(recorded: SweepReport) -> SweepDesk:
    def begin(dry_run: bool, *_: object) -> _RecordedSweep:
        assert dry_run, "nothing is swept in a picture"
        return _RecordedSweep(recorded)

    async def history() -> tuple[HistoryEntry, ...]:
        return ()

    async def report(_: int) -> None:
        return None

    return SweepDesk(begin, history, report, min_age_s=recorded.min_age_s)


async def _draw(recording: Recording, size: tuple[int, int], keys: tuple[str, ...], theme: str) -> str:
    seen = recording.locks[-1]

    async def read_locks() -> LockSnapshot:
        return seen

    async def read_leaks() -> LeakReport:
        assert recording.leaks is not None
        return recording.leaks

    assert recording.sweep is not None

    async def act(_: Action) -> Outcome:
        raise AssertionError("nothing is done in a picture")

    app = Dashboard(read_locks, read_leaks, act=act, sweeps=_desk(recording.sweep), clock=lambda: 0.0)
    async with app.run_test(size=size) as pilot:
        app.theme = theme
        await settled(pilot)
        for key in keys:
            if key == _REFRESH:
                seen = later(seen, seen.sampled_at + _BETWEEN_POLLS)
            await pilot.press(key)
            await settled(pilot)
        picture = app.export_screenshot(title="pgwatch-tests")
    return f"<!-- textual {version('textual')} -->\n{picture}"


async def settled(pilot: Pilot[int]) -> None:
    """Returns once what was done has had its effect: two pauses in a row change no text on the screen.

    One pause isn't enough on a busy machine, where a process that gets no time looks idle to Textual.
    """
    drawn: list[list[str]] = []
    while len(drawn) < 3 or any(one != drawn[-1] for one in drawn[-3:]):
        assert len(drawn) < _MOST_PAUSES, "the screen never comes to rest"
        await pilot.pause()
        # Without its colours: a cursor blinks.
        drawn.append([line.text for line in pilot.app.screen._compositor.render_strips()])


def same(drawn: str, kept: str) -> bool:
    """Whether two pictures show the same: to the letter if one version of textual drew both, else by text."""
    if _VERSION.findall(drawn) == _VERSION.findall(kept):
        return drawn == kept
    return text_of(drawn) == text_of(kept)


def text_of(picture: str) -> list[str]:
    """The text in a picture, line by line."""
    lines: dict[float, str] = {}
    for y, text in _TEXT.findall(picture):
        lines[float(y)] = lines.get(float(y), "") + html.unescape(text).replace("\xa0", " ")
    return [" ".join(lines[y].split()) for y in sorted(lines)]
