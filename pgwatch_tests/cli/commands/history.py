"""`pgwatch-tests history`: the runs on record, and what comes again in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import formats, options
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.settings.load import Flags

if TYPE_CHECKING:
    from pgwatch_tests.history.runs.run_store import RunStore

DEFAULT_SINCE_S = 30 * 86_400.0
_LONGEST_S = 365 * 100 * 86_400.0


@click.command("history", epilog="Example: pgwatch-tests history --test test_booking --since 90d")
@click.option(
    "--test",
    metavar="PATTERN",
    default="",
    help="What is known of these tests over time, instead of the runs: a part of their names, or a pattern "
    "in which * stands for anything and ? for one character.",
)
@click.option("--trend", is_flag=True, help="What comes again over the runs, of all tests.")
@click.option(
    "--since",
    "since_s",
    metavar="TIME",
    callback=options.optional_duration,
    help="Only what began at most so long ago: 12h, 90d. Default: 30d for trends, all for the list of runs.",
)
@click.option("--branch", metavar="NAME", default="", help="Only builds of this branch; for trends.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="How many runs, or rows of each table.",
)
@formats.format_option(
    formats.HISTORY, "How to print it; json: pgwatch-tests.history/1, or pgwatch-tests.trend/1."
)
@options.output_file
def command(
    test: str, trend: bool, since_s: float | None, branch: str, limit: int, form: Format, output: Path | None
) -> None:
    """Show the runs on record, newest first: `run --store` and `report --store` put them there.

    Runs are kept where sweeps are: in the file or the PostgreSQL that the setting `history` names. With
    --trend or --test: pairs of tests that are in each other's way again and again, what tests leave again,
    flaky tests and how often they were blocked when they failed, deadlocks; and in which commit each was
    first seen.
    """
    if branch and not (trend or test):
        raise click.UsageError("--branch needs --trend or --test")
    # Only here: --help must not load SQLAlchemy.
    from pgwatch_tests.history.runs.run_store import RunStore

    store = RunStore.open(options.settings(Flags()))
    options.emit(
        _trends(store, test, since_s, branch, limit, form)
        if trend or test
        else _runs(store, since_s, limit, form),
        output,
    )


def _runs(store: RunStore, since_s: float | None, limit: int, form: Format) -> str:
    runs = store.runs(limit, None if since_s is None else _moment(since_s))
    return formats.render_runs_on_record(form, runs, store.name)


def _trends(store: RunStore, test: str, since_s: float | None, branch: str, limit: int, form: Format) -> str:
    since = _moment(DEFAULT_SINCE_S if since_s is None else since_s)
    events = store.events(test, since, branch, limit) if test else ()
    return formats.render_trends(form, store.trends(since, test, branch, limit), store.name, events)


def _moment(ago_s: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=min(ago_s, _LONGEST_S))
