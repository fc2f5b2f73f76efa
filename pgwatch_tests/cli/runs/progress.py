"""How far something is, on stderr, once it has taken a second: a bar on a terminal, else a line each 5 s."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pgwatch_tests.cli import options
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_QUIET_S = 1.0
_LINE_EVERY_S = 5.0
_TICK_S = 1.0
_REDRAWN_EVERY_S = 0.1
_WIDEST, _NARROWEST, _GAP = 36, 6, 2  # columns: of a bar, and beside it


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
        self._live: Live | None = None
        self._drawn_phase = ""
        self._drawn_at = float("-inf")
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
            if self._live is not None:
                self._live.stop()

    def begin(self, label: str) -> None:
        """Something else begins, with a bar and a time of its own."""
        with self._lock:
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
        now_s = self._clock()
        # The thread may come once more after the end.
        if self._over.is_set() or now_s - self._entered < _QUIET_S:
            return
        phase = "" if self._phase is None else plain(self._phase())
        if phase != self._drawn_phase:
            # The first has been under way since this was entered.
            self._began = now_s if self._drawn_phase else self._began
            self._drawn_phase = phase
        has_bar = self._live is not None or _can_redraw()
        pause_s = _REDRAWN_EVERY_S if has_bar else _LINE_EVERY_S - _TICK_S / 2
        if not (self._total or phase) or now_s - self._drawn_at < pause_s:
            return
        self._drawn_at = now_s
        if has_bar:
            self._redraw(phase)
        else:
            options.narrate(self._in_words(phase))

    def _in_words(self, phase: str) -> str:
        """`planning: 3 of 40 clusters of rows, 1,200 rows, about 12 s left`, as much as is known."""
        if not self._total:
            return f"{phase}, {durations.in_words(self._clock() - self._began)} so far"
        line, words = self._line(self._done, self._total), self._words()
        return f"{f'{phase}: ' if phase else ''}{line}{f', {words}' if words else ''}"

    def _redraw(self, phase: str) -> None:
        # Only here: rich takes a tenth of a second to load, and most work is done before there's a bar.
        from rich.console import Console
        from rich.live import Live

        if self._live is None:
            # stdout is data, also where it is the same terminal.
            self._live = Live(
                console=Console(file=sys.stderr, force_terminal=True),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
            )
            self._live.start()
        # Without the last column: some terminals wrap once that is written.
        self._live.update(self._bar(phase, self._live.console.width - 1), refresh=True)

    def _bar(self, phase: str, columns: int) -> RenderableType:
        """One line: label, bar and words; words that don't fit are cut, since what wraps isn't erased."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if not self._total:
            line = Text(self._in_words(phase))
            line.truncate(columns, overflow="ellipsis")
            return line
        share = f"{100 * self._done // self._total}%" if self._note else f"{self._done:,}/{self._total:,}"
        label, words = Text(phase or self._label), Text("  ".join(filter(None, (share, self._words()))))
        label.truncate(columns // 2, overflow="ellipsis")
        room = columns - label.cell_len - 2 * _GAP
        words.truncate(room - _NARROWEST, overflow="ellipsis")
        width = max(_NARROWEST, min(_WIDEST, room - words.cell_len))
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_row(label, ProgressBar(self._total, self._done, width), words)
        return grid

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


def _can_redraw() -> bool:
    """Whether stderr is a terminal, and one that can move its cursor back."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
