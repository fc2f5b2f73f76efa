"""`pgwatch-tests report`: recorded runs, of one machine or of a hundred, in one report."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from pgwatch_tests.cli import formats, options, run_options
from pgwatch_tests.cli.commands import history
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.errors import EXIT_CODES, HistoryError, RecordingError
from pgwatch_tests.run.checks.fail_on import FailOn

_DEFAULT = Path("pgwatch-results")


@click.command("report", epilog="Example: pgwatch-tests report pgwatch-results/ --format html -o report.html")
@click.argument("paths", nargs=-1, metavar="[FILE|DIR]...", type=click.Path(readable=False, path_type=Path))
@formats.format_option(
    formats.RUNS,
    "table: one screen; markdown: for $GITHUB_STEP_SUMMARY; json: the document pgwatch-tests.report/1, with "
    "every wait; html: one page for a browser, which needs no network.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help="Rows of each table. Default: what fits on a screen; 100 for html.",
)
@options.tests
@options.output_file
@click.option(
    "--fail-on",
    callback=run_options.fail_on,
    metavar="KINDS",
    help="Exit with 1 if any of these is in the report, with 4 if one of them wasn't checked or something "
    "couldn't be read: a comma list as that of `run --fail-on` (blocked=2s,deadlock,hang,rows …).",
)
@click.option(
    "--store",
    is_flag=True,
    help="Put the runs on record too: into the history, as `run --store` does. A run is there once, however "
    "often it is put there.",
)
@click.option(
    "--trend",
    is_flag=True,
    help="Report what comes again in the runs on record instead, as `history --trend` does.",
)
@click.option(
    "--since",
    "since_s",
    callback=options.optional_duration,
    metavar="TIME",
    help="With --trend: of what began at most so long ago. Default: 30d.",
)
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[Path, ...],
    form: Format,
    top: int | None,
    tests: Path | None,
    output: Path | None,
    fail_on: FailOn,
    store: bool,
    trend: bool,
    since_s: float | None,
) -> None:
    """Report what recordings hold: who blocked whom, deadlocks, leaks, and where a killed suite was.

    FILE is a recording, DIR the results of a run (pgwatch-results, if none is given), or holds those of many,
    such as the artifacts of a CI's shards. Recordings of one server become one by the server's own clock, and
    what several of them saw counts once; other servers have a part of their own. What can't be read is named.
    """
    if since_s is not None and not trend:
        raise click.UsageError("--since needs --trend")
    if trend:
        if paths or store or fail_on or form == "html":
            raise click.UsageError("--trend reads the history: it takes no FILE, --store, --fail-on or html")
        options.emit(history.trends("", since_s, "", top or history.MOST_ROWS, form), output)
        return
    from pgwatch_tests.identity.known_tests import read_test_list
    from pgwatch_tests.record import run_files
    from pgwatch_tests.record.merging.merged import merge
    from pgwatch_tests.record.whole_names import WholeNames
    from pgwatch_tests.settings.load import Flags, load

    with _uncollected():
        runs, unreadable = run_files.read(paths or (_DEFAULT,))
    if not runs:
        first = unreadable[0]
        more = f" (and {len(unreadable) - 1:,} more)" if len(unreadable) > 1 else ""
        raise RecordingError(f"nothing to report: {first.name}: {first.reason}{more}")
    if known := load(Flags(tests=tests)).tests:
        whole = WholeNames(read_test_list(known))
        runs = [whole.run(run) for run in runs]
    report = merge(runs, unreadable)
    for one in unreadable:
        options.narrate(f"{one.name}: {one.reason}")
    with _uncollected():
        document = formats.render_runs(form, report, top)
    options.emit(document, output)
    if store:
        try:
            options.narrate(history.put_on_record(runs))
        except HistoryError as error:
            # The report is there, and its verdict counts.
            options.narrate(f"not put on record: {error}")
    if fail_on:
        from pgwatch_tests.run.checks.report_gate import judge_report

        judgement = judge_report(fail_on, report)
        for finding in judgement.findings:
            options.narrate(f"--fail-on {finding.kind}: {finding.text}")
        for line in judgement.missing:
            options.narrate(f"not checked: {line}")
        ctx.exit(EXIT_CODES[judgement.verdict])


@contextmanager
def _uncollected() -> Iterator[None]:
    """Has no rings of garbage looked for: among the values of an hour that takes a sixth of all time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
