"""How far something is, on stderr, once it has taken a second: a bar on a terminal, else a line each 5 s."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from pgwatch_tests.cli import options
from pgwatch_tests.text import durations

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

_QUIET_S = 1.0
_LINE_EVERY_S = 5.0
_TICK_S = 1.0
_BAR = "%(label)s  [%(bar)s]  %(info)s"
_WIDEST, _NARROWEST = 36, 6


class Progress:
    """Use as a context manager. `label` stands before the bar; `line` says it in words where there's none.

    `share_done` (0 to 1) tells how much of the work is done, if parts of it take longer than others: the
    time left is shown then. Or `left_s` tells that itself, in seconds, None as long as it can't. `note` says
    more in words, such as how fast it goes. `phase` names what is done just now, in place of `label`: then it
    is said for how long, also while nobody knows how much there is to do. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        label: str,
        line: Callable[[int, int], str],
        share_done: Callable[[], float] | None = None,
        note: Callable[[], str] | None = None,
        left_s: Callable[[], float | None] | None = None,
        phase: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = label
        self._line = line
        self._share_done = share_done
        self._note = note
        self._left_s = self._by_share if left_s is None else left_s
        self._phase = phase
        self._clock = clock
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._done = self._total = 0
        self._bar: ProgressBar[int] | None = None
        self._beside = ""
        self._drawn_phase = ""
        self._has_words = False
        self._last_line = float("-inf")
        self._entered = self._began = clock()

    def __enter__(self) -> Self:
        self._entered = self._began = self._clock()
        threading.Thread(target=self._keep_ticking, name="progress", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._over.set()
            self._finish()

    def begin(self, label: str) -> None:
        """Something else begins, with a bar and a time of its own."""
        with self._lock:
            self._finish()
            self._label = label
            self._done = self._total = 0
            self._began = self._clock()

    def show(self, done: int, total: int) -> None:
        """`done` of `total` are done."""
        with self._lock:
            self._done, self._total = done, total
            self._draw()

    def tick(self) -> None:
        """Time has passed: what is shown is brought up to date. Its own thread calls it once a second."""
        with self._lock:
            self._draw()

    def _keep_ticking(self) -> None:
        while not self._over.wait(_TICK_S):
            self.tick()

    def _draw(self) -> None:
        # The thread may come once more after the end.
        if self._over.is_set() or self._clock() - self._entered < _QUIET_S:
            return
        phase = "" if self._phase is None else self._phase()
        if phase != self._drawn_phase:
            if self._bar is None or self._bar.length != self._total or self._bar.pos > self._done:
                self._finish()
            self._drawn_phase, self._began = phase, self._clock() if self._drawn_phase else self._began
        if not (self._total or phase):
            return
        if sys.stderr.isatty():
            if self._total:
                self._draw_bar(phase or self._label)
            else:
                self._draw_words(f"{phase}, {self._so_far()}")
        elif self._clock() - self._last_line >= _LINE_EVERY_S - _TICK_S / 2:
            self._last_line = self._clock()
            options.narrate(self._in_words(phase))

    def _in_words(self, phase: str) -> str:
        """`planning: 3 of 40 clusters of rows, 1,200 rows, about 12 s left`, as much as is known."""
        if not self._total:
            return f"{phase}, {self._so_far()}"
        line, words = self._line(self._done, self._total), self._words()
        return f"{f'{phase}: ' if phase else ''}{line}{f', {words}' if words else ''}"

    def _so_far(self) -> str:
        return f"{durations.in_words(self._clock() - self._began)} so far"

    def _draw_bar(self, label: str) -> None:
        self._clear_words()
        if self._bar is None:
            self._bar = click.progressbar(
                length=self._total,
                label=label,
                show_eta=False,
                show_percent=self._note is not None,
                item_show_func=lambda _: self._beside,
                file=sys.stderr,
                bar_template=_BAR,
            )
        self._bar.label = label
        self._fit(self._bar, label)
        self._bar.update(self._done - self._bar.pos)
        self._bar.render_progress()

    def _draw_words(self, words: str) -> None:
        # As with a bar, the line is written anew each time.
        width = _columns() - 1
        click.echo(f"\r{words[:width]:<{width}}", err=True, nl=False)
        self._has_words = True

    def _clear_words(self) -> None:
        if self._has_words:
            click.echo(f"\r{'':<{_columns() - 1}}\r", err=True, nl=False)
            self._has_words = False

    def _finish(self) -> None:
        self._clear_words()
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None

    def _fit(self, bar: ProgressBar[int], label: str) -> None:
        """Gives the bar what the words leave of the line: what wraps isn't overwritten by what comes next."""
        share = "" if self._note is None else "100%"
        beside = _BAR % {"label": label, "bar": "", "info": f"{share}  "}
        # click's own position has no separators in its numbers.
        position = f"{self._done:,}/{self._total:,}" if self._note is None else ""
        self._beside = "  ".join(filter(None, (position, self._words())))
        # Without the last column: some terminals wrap once that is written.
        room = _columns() - 1 - len(beside) - len(self._beside)
        bar.width = max(_NARROWEST, min(_WIDEST, room))
        if room < _NARROWEST:
            kept = max(len(self._beside) - (_NARROWEST - room) - 1, 0)
            self._beside = f"{self._beside[:kept]}…"

    def _words(self) -> str:
        """`1,200 rows, 400 rows/s, about 12 s left`: what there is of it."""
        return ", ".join(filter(None, (self._note() if self._note is not None else "", self._left())))

    def _left(self) -> str:
        """`about 12 s left`, as long as that can be told."""
        left_s = self._left_s()
        return "" if left_s is None else f"about {durations.in_words(left_s)} left"

    def _by_share(self) -> float | None:
        share = self._share_done() if self._share_done is not None else 0.0
        return (self._clock() - self._began) * (1 - share) / share if 0 < share < 1 else None


def _columns() -> int:
    """The width of the terminal that stderr is, also where stdout is none."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns
