"""`pgwatch-tests replay`: the dashboard on a recording, or one moment of it as a document."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import formats, options
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.cli.runs.daemon_thread import in_daemon_thread
from pgwatch_tests.tui.terminal.stream import is_interactive

if TYPE_CHECKING:
    from datetime import datetime

    from pgwatch_tests.identity.known_tests import KnownTests
    from pgwatch_tests.record.replay.source import ReplaySource


@click.command("replay")
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE…", type=click.Path(readable=False, path_type=Path)
)
@click.option(
    "--at",
    "place",
    metavar="PLACE",
    help="Open there: at a time (13:05, 13:05:12.5, 2026-03-01T13:05, +2m from the start, --at=-30s from the "
    "end, 40%), or where a test was first seen, by a part of its name. Default: where the suite was stopped "
    "or killed, else where the longest wait ended.",
)
@click.option("--once", is_flag=True, help="Print the locks of that moment, and end.")
@formats.format_option(formats.LOCKS, "What --once prints, as for `locks`.")
@options.tests
@options.output_file
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[Path, ...],
    place: str | None,
    once: bool,
    form: Format,
    tests: Path | None,
    output: Path | None,
) -> None:
    """Look at a recording as at a live server: who blocked whom, at any moment of a run that is over.

    A FILE is a recording, or a directory of results: of one run, or of many. Several recordings, such as
    those of a run's shards, are one time line if they are of one server. Where stdout is no terminal, the
    locks of one moment are printed. Keys: ? shows them, q leaves. Exit codes: 2 not a recording, or a damaged
    one; 4 the moment wasn't recorded.

    \b
    Examples:
      pgwatch-tests replay pgwatch-results/
      pgwatch-tests replay shard-*/recording.pgwatch --at 13:05:12
      pgwatch-tests replay recording.pgwatch --at test_booking
      pgwatch-tests replay recording.pgwatch --once --at 40% --format json
    """
    interactive = is_interactive() and not once
    if interactive and (form != "table" or output is not None):
        raise click.UsageError("--format and -o need --once")
    # What is loaded stays: looking for garbage in it costs a tenth of the start.
    gc.disable()
    from pgwatch_tests.record import run_files
    from pgwatch_tests.record.replay.source import opened

    with opened(run_files.recordings(files), _known(tests)) as source:
        moment = source.opens_at if place is None else source.find(place)
        if interactive:
            ctx.exit(_run(source, moment))
        options.emit(_document(source, moment, form), output)


def _known(tests: Path | None) -> KnownTests | None:
    """The tests of --tests, PGWATCH_TESTS or pyproject.toml; None without any."""
    from pgwatch_tests.identity.known_tests import KnownTests, read_test_list
    from pgwatch_tests.settings.load import Flags, load

    path = load(Flags(tests=tests)).tests
    return None if path is None else KnownTests(read_test_list(path))


def _document(source: ReplaySource, moment: datetime, form: Format) -> str:
    from pgwatch_tests.errors import NotCheckedError
    from pgwatch_tests.text.times import in_full

    picture = source.picture(moment)
    if picture.snapshot is None:
        raise NotCheckedError(
            f"nothing is known of {in_full(moment)}: "
            + (
                f"not watched from {in_full(picture.gap.since)} to {in_full(picture.gap.until)}"
                if picture.gap
                else "there is no sample at or before it"
            )
        )
    options.narrate(f"sample of {in_full(picture.snapshot.sampled_at)}")
    return formats.render_locks(form, picture.snapshot, 1.0)


def _run(source: ReplaySource, moment: datetime) -> int:
    from pgwatch_tests.cli.runs.dashboard import preferences as dashboard_preferences
    from pgwatch_tests.settings.dashboard import DashboardSetting
    from pgwatch_tests.tui.replay.app import ReplayDashboard
    from pgwatch_tests.tui.terminal.graceful_exit import run_until_left

    gc.freeze()
    gc.enable()
    theme = os.environ.get("PGWATCH_THEME")
    preferred = dashboard_preferences.preferences(
        dashboard_preferences.user_file(), DashboardSetting(), theme
    )

    async def run() -> int:
        app = ReplayDashboard(source, moment, in_daemon_thread, preferences=preferred)
        return await run_until_left(app)

    return asyncio.run(run())
