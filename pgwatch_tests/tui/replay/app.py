"""The dashboard on a recording: tabs of one moment, which plays, steps and jumps."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingsMap, BindingType
from textual.widgets import Input

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.record.model import Mark, MarkKind
from pgwatch_tests.record.replay.playback import Playback
from pgwatch_tests.record.replay.source import Picture, ReplaySource
from pgwatch_tests.reports.verdict.verdict import Facts
from pgwatch_tests.text.plain_text import one_line, plain
from pgwatch_tests.tui.keys.preferences import Preferences
from pgwatch_tests.tui.keys.replay_keys import REPLAY_KEYS
from pgwatch_tests.tui.personal_app import PersonalApp
from pgwatch_tests.tui.replay.data import ReplayData, gap_words
from pgwatch_tests.tui.replay.header import ReplayTitle, header
from pgwatch_tests.tui.replay.jump_screen import JumpScreen
from pgwatch_tests.tui.replay.time_line import LEGEND, TimeLine, TimeLineData, time_line_data
from pgwatch_tests.tui.tabs.contention_tab import ContentionTab
from pgwatch_tests.tui.tabs.leaks_tab import LeaksTab
from pgwatch_tests.tui.tabs.locks_tab import LocksTab
from pgwatch_tests.tui.tabs.tab_place import contention_place, leaks_place, sessions_place
from pgwatch_tests.tui.widgets.header_figures import Manner
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.workers import start_worker

T = TypeVar("T")
Move = Callable[[datetime], datetime | None]

_TICK_S = 0.1
_FAR_S = 10.0
_MOVES = ("step", "seek", "next", "edge")
_LONGEST_NOTE = 400
_MARK_WORDS: dict[MarkKind, str] = {
    "command_began": "The command began",
    "command_ended": "The command ended",
    "signal": "Signal",
    "hang": "Hang",
    "root_ended": "A root blocker was ended",
    "thinned": "Samples were left out from here on",
}


def _pace(apart_s: float) -> tuple[str, ...]:
    apart = f"{apart_s:.2f}".rstrip("0").rstrip(".") if apart_s < 9.95 else f"{apart_s:.0f}"
    return f"samples {apart} s apart: seen, not ran", f"{apart} s apart: seen, not ran"


def _mark_words(mark: Mark) -> str:
    """`Hang: blocked for 5 s behind test_books`: the first line of a mark."""
    words, text = _MARK_WORDS[mark.kind], one_line(mark.text.strip().partition("\n")[0])
    if text.casefold().startswith(f"{words.casefold()}: "):
        text = text[len(words) + 2 :]
    return f"{words}: {text}" if text else f"{words}."


class RunInThread(Protocol):
    """Runs `work` in a thread that nobody waits for when the program ends."""

    async def __call__(self, work: Callable[[], T], name: str) -> T: ...


class ReplayDashboard(PersonalApp):
    """Shows `source` from `opens_at` on. Whatever reads it is run by `in_thread`.

    `clock` is monotonic, in seconds; exports go to `export_to`; `preferences` are the user's.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*REPLAY_KEYS]

    def __init__(
        self,
        source: ReplaySource,
        opens_at: datetime,
        in_thread: RunInThread,
        *,
        clock: Callable[[], float] = time.monotonic,
        export_to: Path | None = None,
        preferences: Preferences | None = None,
    ) -> None:
        later = [sessions_place(), leaks_place(), contention_place()]
        super().__init__(LocksTab(), later, export_to=export_to, preferences=preferences)
        self._source = source
        headers = [one.header for one in source.recordings]
        self._replay_title = ReplayTitle(
            tuple(one.path.name for one in source.recordings),
            next((one.run for one in headers if one.run), ""),
            tuple(one.shard for one in headers if one.shard),
        )
        self._in_thread = in_thread
        self._playback = Playback(source.began, source.until, opens_at, clock)
        self._data = ReplayData()
        self._time_line: TimeLineData | None = None
        self._moves: deque[tuple[Move, str]] = deque()
        self._asked = asyncio.Event()
        self._summed_until: datetime | None = None
        self._has_trouble = False
        """Whether the last attempt to read failed: the picture is that of another moment then."""

    @property
    def data(self) -> ReplayData:
        """The present moment."""
        return self._data

    def above(self) -> ComposeResult:
        """Yields the replay's header above the figures of the moment."""
        yield StillText(id="replay-header")
        yield from super().above()

    def below(self) -> ComposeResult:
        """Yields the time line."""
        yield TimeLine()

    def on_mount(self) -> None:
        line = self._status_line
        line.status = replace(
            line.status, absence="", manner=Manner(is_recorded=True), facts=Facts(is_recorded=True)
        )
        self._show_position()
        # Workers of the app, not of a screen: they go on under a dialog.
        start_worker(self, self._follow, "replay")

    # What the moment looks like.

    async def _follow(self) -> None:
        """Makes the moves that were asked for, and shows where they lead; while it plays, again and again."""
        await self._show_moment()
        # Only now: reading all events takes longer than one picture, and the processor from it.
        start_worker(self, self.mount_tabs, "tabs")
        start_worker(self, self._read_events, "events")
        while not self._is_closing:
            self._asked.clear()
            while self._moves:
                await self._move(*self._moves.popleft())
            await self._show_moment()
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S if self._playback.is_playing else None):
                    await self._asked.wait()

    async def _move(self, move: Move, nowhere: str) -> None:
        try:
            target = await self._in_thread(partial(move, self._playback.position), "move")
        except PgwatchError as error:
            self._tell_trouble(error)
            return
        if target is None:
            self.notify(nowhere, timeout=2, markup=False)
        else:
            self._playback.go_to(target)

    async def _show_moment(self) -> None:
        self._show_position()
        moment, picture = self._playback.position, self._data.picture
        if picture is None or self._has_trouble or not picture.holds_at(moment):
            try:
                picture = await self._in_thread(partial(self._source.picture, moment), "picture")
            except PgwatchError as error:
                self._tell_trouble(error)
                return
            if self._is_closing:
                return
            self._data.picture, self._has_trouble = picture, False
            self._show_picture(picture)
        if isinstance(self._tab, ContentionTab) and self._sums_are_old(picture):
            until = self._summed_until = self._sums_until(picture)
            self._data.contention = await self._in_thread(partial(self._source.contention, until), "sums")
            if not self._is_closing:
                self._show_tab()

    async def _read_events(self) -> None:
        """Reads what the time line and the Leaks tab show."""
        source = self._source
        try:
            self._time_line = await self._in_thread(
                lambda: time_line_data(source.events, (*source.breaks_off_at, *source.killed_at)), "events"
            )
            leaks = await self._in_thread(lambda: source.leaks, "leaks")
        except PgwatchError as error:
            self._tell_trouble(error)
            return
        if self._is_closing:
            return
        self._show_position()
        if leaks is not None:
            self._data.leaks, self._data.leaks_trouble = leaks, ""
            line = self._status_line
            line.status = replace(line.status, facts=Facts(leaks, is_recorded=True))
        if isinstance(self._tab, LeaksTab):
            self._show_tab()
        if self._data.picture is not None:
            self._show_picture(self._data.picture)

    def _show_position(self) -> None:
        if self._is_closing:
            return
        line = self._base.query_one("#replay-header", StillText)
        line.say(header(self._replay_title, self._playback, line.content_size.width or None))
        if self._time_line is not None:
            self._base.query_one(TimeLine).show(self._time_line, self._playback.position)

    def _show_picture(self, picture: Picture) -> None:
        line = self._status_line
        pace = () if picture.apart_s is None else _pace(picture.apart_s)
        line.status = replace(
            line.status,
            trouble=gap_words(picture),
            note=self._note(picture),
            manner=Manner(pace, is_recorded=True),
            snapshot=picture.snapshot,
        )
        self._show_tab()

    def _note(self, picture: Picture) -> str:
        """Marks of the moment, or that the recording breaks off there."""
        notes = [_mark_words(mark) for mark in picture.marks if mark.kind in _MARK_WORDS]
        if picture.changes_at is None and self._source.breaks_off_at:
            notes.append("The recording breaks off here: its recorder was killed, or still records.")
        elif picture.changes_at is None and self._source.killed_at:
            notes.append("The recording ends here: the suite was killed, and run with it.")
        return plain(" · ".join(notes), _LONGEST_NOTE)

    def _tell_trouble(self, error: PgwatchError) -> None:
        if not self._is_closing:
            self._playback.pause()
            self._has_trouble = True
            line = self._status_line
            line.status = replace(line.status, trouble=str(error))

    def _show_tab(self) -> None:
        super()._show_tab()
        picture = self._data.picture
        if picture is not None and isinstance(self._tab, ContentionTab) and self._sums_are_old(picture):
            self._asked.set()

    def _sums_are_old(self, picture: Picture) -> bool:
        return self._summed_until != self._sums_until(picture)

    def _sums_until(self, picture: Picture) -> datetime:
        """The moment up to which contention is summed: that of the sample."""
        return picture.since if picture.gap is None else self._playback.position

    # Keys.

    def reading(self) -> Sequence[str]:
        """How to read the open tab of a recording, in paragraphs."""
        return (
            *super().reading(),
            f"Time line: the most sessions blocked at once. {LEGEND}. A click goes to that moment.",
            "A recording has samples. What is shorter than the time between two of them may be missing: a "
            "test that was seen did run, one that wasn't may have run. Ages are those of the last sample. "
            "Contention is summed from the beginning up to the moment; leaks are those of the check after "
            "the suite.",
        )

    def action_play(self) -> None:
        """Plays or pauses."""
        self._playback.toggle()
        self._asked.set()

    def action_change_speed(self, steps: int) -> None:
        """Plays faster (1) or slower (-1)."""
        self._playback.change_speed(steps)
        self._asked.set()

    def action_step(self, samples: int) -> None:
        """Pauses, and goes to the next sample (1) or the one before (-1)."""
        self._playback.pause()
        which = "last" if samples > 0 else "first"
        self._go(partial(self._source.step, samples), f"This is the {which} sample.")

    def action_seek(self, direction: int) -> None:
        """Goes 10 s on (1) or back (-1)."""
        self._go(lambda position: position + timedelta(seconds=direction * _FAR_S), "")

    def action_next(self, what: str, direction: int) -> None:
        """Goes to the next (1) or previous (-1) wait, deadlock or mark."""
        find = {
            "wait": self._source.wait,
            "deadlock": self._source.deadlock,
            "mark": self._source.mark,
        }[what]
        where = "after" if direction > 0 else "before"
        self._go(partial(find, direction), f"No {what} {where} this moment.")

    def action_edge(self, direction: int) -> None:
        """Goes to the beginning (-1) or to the end (1)."""
        edge = self._playback.began if direction < 0 else self._playback.until
        self._go(lambda _: edge, "")

    def action_jump(self) -> None:
        """Asks for a time or a test, and goes there."""

        async def find(text: str) -> datetime:
            return await self._in_thread(partial(self._source.find, text), "place")

        def answered(moment: datetime | None) -> None:
            if moment is not None:
                self._go(lambda _: moment, "")

        self.push_screen(JumpScreen(find), answered)

    def _go(self, move: Move, nowhere: str) -> None:
        """Asks for a move: all that are asked for are made, one after the other."""
        self._moves.append((move, nowhere))
        self._asked.set()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything now, and is in the footer."""
        if action in _MOVES and isinstance(self.focused, Input):
            return False  # so that arrows move in what is typed
        return super().check_action(action, parameters)

    def unbound(self, key: str) -> str:
        """Why a key that isn't bound here does nothing: it may be one of the live dashboard."""
        from pgwatch_tests.tui.app import Dashboard

        for binding in BindingsMap(Dashboard.BINDINGS).key_to_bindings.get(key, ()):
            return f"{self.get_key_display(binding)} ({binding.description}) is for a live server."
        return super().unbound(key)

    @on(TimeLine.Clicked)
    def _go_to_clicked(self, event: TimeLine.Clicked) -> None:
        self._go(lambda _: event.moment, "")
