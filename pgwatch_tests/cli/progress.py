"""How far something is, on stderr, once it has taken a second: a bar on a terminal, else some lines."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from pgwatch_tests.cli import options

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

_QUIET_S = 1.0
_LINE_EVERY_S = 10.0


class Progress:
    """Use as a context manager. `label` stands before the bar; `line` says it in words where there's none."""

    def __init__(self, label: str, line: Callable[[int, int], str]) -> None:
        self._label = label
        self._line = line
        self._lock = threading.Lock()
        self._timer = threading.Timer(_QUIET_S, self._begin)
        self._timer.daemon = True
        self._shown = self._over = False
        self._done = self._total = 0
        self._bar: ProgressBar[int] | None = None
        self._last_line = float("-inf")

    def __enter__(self) -> Self:
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
                    show_pos=True,
                    file=sys.stderr,
                )
            self._bar.update(self._done - self._bar.pos)
            self._bar.render_progress()
        elif time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            options.narrate(self._line(self._done, self._total))
