"""How far something is, on stderr, once it has taken a second: a bar on a terminal, else some lines."""

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

from pgwatch_tests import durations
from pgwatch_tests.cli import options

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

_QUIET_S = 1.0
_LINE_EVERY_S = 10.0
_BAR = "%(label)s  [%(bar)s]  %(info)s"
_WIDEST, _NARROWEST = 36, 6


class Progress:
    """Use as a context manager. `label` stands before the bar; `line` says it in words where there's none.

    `share_done` (0 to 1) tells how much of the work is done, if parts of it take longer than others: the
    time left is shown then. Or `left_s` tells that itself, in seconds, None as long as it can't. `note` says
    more in words, such as how fast it goes.
    """

    def __init__(
        self,
        label: str,
        line: Callable[[int, int], str],
        share_done: Callable[[], float] | None = None,
        note: Callable[[], str] | None = None,
        left_s: Callable[[], float | None] | None = None,
    ) -> None:
        self._label = label
        self._line = line
        self._share_done = share_done
        self._note = note
        self._left_s = self._by_share if left_s is None else left_s
        self._lock = threading.Lock()
        self._timer = threading.Timer(_QUIET_S, self._begin)
        self._timer.daemon = True
        self._shown = self._over = False
        self._done = self._total = 0
        self._bar: ProgressBar[int] | None = None
        self._beside = ""
        self._last_line = float("-inf")
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._bar is not None:
                self._bar.render_finish()

    def begin(self, label: str) -> None:
        """Something else begins, with a bar and a time of its own."""
        with self._lock:
            if self._bar is not None:
                self._bar.render_finish()
                self._bar = None
            self._label = label
            self._done = self._total = 0
            self._began = time.monotonic()

    def show(self, done: int, total: int) -> None:
        """`done` of `total` are done."""
        with self._lock:
            self._done, self._total = done, total
            if self._shown:
                self._draw()

    def _begin(self) -> None:
        with self._lock:
            # Cancelling the timer comes too late once it has gone off.
            if not self._over:
                self._shown = True
                self._draw()

    def _draw(self) -> None:
        if not self._total:
            return
        if sys.stderr.isatty():
            if self._bar is None:
                self._bar = click.progressbar(
                    length=self._total,
                    label=self._label,
                    show_eta=False,
                    show_percent=self._note is not None,
                    item_show_func=lambda _: self._beside,
                    file=sys.stderr,
                    bar_template=_BAR,
                )
            self._fit(self._bar)
            self._bar.update(self._done - self._bar.pos)
            self._bar.render_progress()
        elif time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            line, words = self._line(self._done, self._total), self._words()
            options.narrate(f"{line}, {words}" if words else line)

    def _fit(self, bar: ProgressBar[int]) -> None:
        """Gives the bar what the words leave of the line: what wraps isn't overwritten by what comes next."""
        share = "" if self._note is None else "100%"
        beside = _BAR % {"label": self._label, "bar": "", "info": f"{share}  "}
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
        return (time.monotonic() - self._began) * (1 - share) / share if 0 < share < 1 else None


def _columns() -> int:
    """The width of the terminal that stderr is, also where stdout is none."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns
