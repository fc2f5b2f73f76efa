"""`pgwatch-tests history`: the runs on record, and what comes again in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import formats, options
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.settings.load import Flags
from pgwatch_tests.text.numbers import plural

if TYPE_CHECKING:
    from pgwatch_tests.history.runs.model import Addition
    from pgwatch_tests.history.runs.run_store import RunStore
    from pgwatch_tests.record.merging.merged import RecordedRun

MOST_ROWS = 20
_MOST_SUMMED = 100_000  # runs
_ADDED: Mapping[Addition, str] = {
    "added": "new",
    "replaced": "known before, replaced",
    "known": "known before",
    "too old": "too old to be kept (setting keep_runs)",
}
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
    help="Only what began at most so long ago: 12h, 90d. Default: 30d for trends and "
    "openmetrics, all for the list of runs.",
)
@click.option("--branch", metavar="NAME", default="", help="Only builds of this branch; for trends.")
@click.option(
    "--tidy",
    is_flag=True,
    help="Remove names of tests, commits … that no run on record has any more, now; `run --store` does so "
    "now and then, as long as there are at most 20,000 runs.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=MOST_ROWS,
    show_default=True,
    metavar="N",
    help="How many runs, or rows of each table.",
)
@formats.format_option(
    formats.HISTORY,
    "How to print it; json: pgwatch-tests.history/1, or pgwatch-tests.trend/1; openmetrics: sums over "
    "the runs, for a node exporter's textfile or a push gateway.",
)
@options.output_file
def command(
    test: str,
    trend: bool,
    since_s: float | None,
    branch: str,
    tidy: bool,
    limit: int,
    form: Format,
    output: Path | None,
) -> None:
    """Show the runs on record, newest first: `run --store` and `report --store` put them there.

    Runs are kept where sweeps are: in the file or the PostgreSQL that the setting `history` names. With
    --trend or --test: pairs of tests that are in each other's way again and again, what tests leave again,
    flaky tests and how often they were blocked when they failed, deadlocks; and in which commit each was
    first seen.
    """
    if branch and not (trend or test):
        raise click.UsageError("--branch needs --trend or --test")
    if tidy:
        if trend or test or since_s is not None or output is not None:
            raise click.UsageError("--tidy shows nothing: it goes with no other option")
        store = _store()
        removed = store.tidy()
        told = "no name removed: its role may not, or a run is just being put on record"
        options.narrate(f"{store.name}: {told if removed is None else plural(removed, 'name') + ' removed'}")
        return
    if form == "openmetrics":
        if trend or test:
            raise click.UsageError("--trend and --test have the formats table, json and markdown")
        options.emit(_metrics(since_s), output)
        return
    text = trends(test, since_s, branch, limit, form) if trend or test else _runs(since_s, limit, form)
    options.emit(text, output)


def _metrics(since_s: float | None) -> str:
    from pgwatch_tests.reports.openmetrics import run_metrics

    now = datetime.now(UTC)
    since = _moment(DEFAULT_SINCE_S if since_s is None else since_s)
    return run_metrics.document(_store().runs(_MOST_SUMMED, since), since, now)


def _runs(since_s: float | None, limit: int, form: Format) -> str:
    store = _store()
    runs = store.runs(limit, None if since_s is None else _moment(since_s))
    return formats.render_runs_on_record(form, runs, store.name)


def trends(test: str, since_s: float | None, branch: str, limit: int, form: Format) -> str:
    """What comes again over the runs on record, as a document; of tests of a name, what happened last too."""
    store = _store()
    since = _moment(DEFAULT_SINCE_S if since_s is None else since_s)
    events = store.events(test, since, branch, limit) if test else ()
    return formats.render_trends(form, store.trends(since, test, branch, limit), store.name, events)


def put_on_record(runs: Sequence[RecordedRun]) -> str:
    """Puts the runs into the history; returns a sentence on what became of them. Raises HistoryError."""
    from pgwatch_tests.record.summary import summary_of

    store = _store()
    summaries = [summary_of(run, run.facts) for run in runs if run.facts is not None]
    became = Counter(store.add(summary) for summary in summaries)
    told = ", ".join(f"{became[one]:,} {words}" for one, words in _ADDED.items() if became[one])
    alone = len(runs) - len(summaries)
    more = f"; {plural(alone, 'recording')} of no run not put on record" if alone else ""
    return f"{plural(len(summaries), 'run')} on record in {store.name}{f': {told}' if told else ''}{more}"


def _store() -> RunStore:
    # Only here: --help must not load SQLAlchemy.
    from pgwatch_tests.history.runs.run_store import RunStore

    return RunStore.open(options.settings(Flags()))


def _moment(ago_s: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=min(ago_s, _LONGEST_S))
