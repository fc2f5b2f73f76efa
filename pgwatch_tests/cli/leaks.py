"""`pgwatch-tests leaks`: counts the test rows that were left behind."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import click

from pgwatch_tests.cli import options
from pgwatch_tests.config import Flags

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

FINDINGS = 1
INCOMPLETE = 4

_QUIET_S = 1.0
_LINE_EVERY_S = 10.0


@click.command("leaks", epilog="Example: pgwatch-tests leaks --fail --marker '%@test.example.com'")
@options.dsn
@click.option(
    "--marker",
    "markers",
    multiple=True,
    metavar="PATTERN",
    help="What test data looks like, instead of the configured markers: a LIKE pattern (the case of "
    "letters is ignored), or 're:' and a PostgreSQL regular expression. May be repeated.",
)
@click.option(
    "--fail",
    is_flag=True,
    help="Exit with 1 if there are leaked rows, with 4 if a table couldn't be checked.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="The output's form.",
)
@options.output_file
@click.pass_context
def command(
    ctx: click.Context,
    dsn: str | None,
    markers: tuple[str, ...],
    fail: bool,
    format_: Literal["table", "json"],
    output: Path | None,
) -> None:
    """Count the test rows that were left behind, in all tables of a database.

    A row is leaked if one of its string columns bears a marker: an address at test.example.com, or
    an id like user_1717171717171_a1b2c3, unless --marker or pyproject.toml says otherwise. Tables that
    couldn't be checked are listed with the reason.
    """
    settings = options.settings(Flags(dsn=dsn, markers=markers))
    # Only here: --help must not load the database driver.
    from pgwatch_tests.leaks.count import scan

    with _Progress() as progress:
        report = scan(settings, progress.show)
    if format_ == "json":
        from pgwatch_tests.reports.leak_json import document

        options.emit(document(report), output)
    else:
        from pgwatch_tests.reports.leak_table import table

        options.emit(table(report), output)
    if fail:
        ctx.exit(FINDINGS if report.total else 0 if report.complete else INCOMPLETE)


class _Progress:
    """How far a scan is, on stderr, once it has taken a second: a bar on a terminal, else some lines."""

    def __init__(self) -> None:
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
        """`done` of `total` tables are counted."""
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
                    label="counting in tables",
                    show_eta=False,
                    show_pos=True,
                    file=sys.stderr,
                )
            self._bar.update(self._done - self._bar.pos)
            self._bar.render_progress()
        elif time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            options.narrate(f"counted in {self._done} of {self._total} tables")
