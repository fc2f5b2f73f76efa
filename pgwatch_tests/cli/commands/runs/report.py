"""`pgwatch-tests report`: recorded runs, of one machine or of a hundred, in one report."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import fleet_options, formats, options, run_options
from pgwatch_tests.cli.commands.runs import history
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.errors import EXIT_CODES, HistoryError, NotCheckedError, RecordingError
from pgwatch_tests.fleet.servers import Server
from pgwatch_tests.fleet.shards import Shard
from pgwatch_tests.run.checks.fail_on import FailOn
from pgwatch_tests.settings.load import Flags, Settings, load
from pgwatch_tests.text.numbers import plural

if TYPE_CHECKING:
    from pgwatch_tests.history.fleet_checks import FleetChecks
    from pgwatch_tests.record.merging.merged import RecordedRun, Unreadable
    from pgwatch_tests.record.merging.recorded_fleet import RecordedFleet

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
    shell_complete=run_options.FAIL_ON_WORDS,
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
@click.option(
    "--servers",
    callback=options.server_names,
    metavar="NAMES",
    help="Report on the servers of a list: totals of each and of all, and which of them left no recording. A "
    "comma list of names or globs such as 'ci-*', as for `record --servers`.",
)
@fleet_options.shard_option
@click.option(
    "--save",
    metavar="NAME",
    help="With --servers: put the report into the history under this name, as one part of a fleet's.",
)
@click.option(
    "--saved",
    metavar="NAME",
    help="Report on the parts that --save has put into the history, together; with --servers, what is "
    "missing is named by the servers of the list.",
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
    servers: tuple[str, ...],
    shard: Shard | None,
    save: str | None,
    saved: str | None,
) -> None:
    """Report what recordings hold: who blocked whom, deadlocks, leaks, and where a killed suite was.

    FILE is a recording, DIR the results of a run (pgwatch-results, if none is given), or holds those of many,
    such as the artifacts of a CI's shards. Recordings of one server become one by the server's own clock, and
    what several of them saw counts once; other servers have a part of their own. What can't be read is named.
    Any file of a run's results stands for the run.
    """
    if since_s is not None and not trend:
        raise click.UsageError("--since needs --trend")
    if trend:
        if paths or store or fail_on or form == "html" or servers or saved:
            raise click.UsageError(
                "--trend reads the history: it takes no FILE, --store, --fail-on, --servers, --saved or html"
            )
        options.emit(history.trends("", since_s, "", top or history.MOST_ROWS, form), output)
        return
    if save is not None and not servers:
        raise click.UsageError("--save needs --servers")
    settings = load(Flags(tests=tests))
    fleet = fleet_options.chosen(settings, servers, (), shard, None)
    if saved is not None:
        if paths or store or fail_on or save or shard or tests or form == "html":
            raise click.UsageError(
                "--saved reads the history: it takes neither FILE nor html, and only --servers beside it"
            )
        together = _put_together(settings, saved, fleet)
        options.emit(formats.render_recorded_fleet(form, together, None, top), output)
        return
    from pgwatch_tests.identity.known_tests import read_test_list
    from pgwatch_tests.junit.run_outcomes import with_outcomes
    from pgwatch_tests.record import run_files
    from pgwatch_tests.record.merging.merged import Unreadable, merge
    from pgwatch_tests.record.whole_names import WholeNames

    with uncollected():
        runs, unreadable = run_files.read(paths or (_DEFAULT,))
        runs = [with_outcomes(run) for run in runs]
    if not runs:
        first = unreadable[0]
        more = f" (and {len(unreadable) - 1:,} more)" if len(unreadable) > 1 else ""
        raise RecordingError(f"nothing to report: {first.name}: {first.reason}{more}")
    if settings.tests:
        whole = WholeNames(read_test_list(settings.tests))
        runs = [whole.run(run) for run in runs]
    for one in unreadable:
        options.narrate(f"{one.name}: {one.reason}")
    recorded = None
    if fleet is not None:
        runs, recorded = _of_fleet(runs, unreadable, fleet, shard)
        unreadable += (Unreadable(one.server, one.reason) for one in recorded.not_recorded)
    report = merge(runs, unreadable)
    with uncollected():
        if recorded is None:
            document = formats.render_runs(form, report, top)
        else:
            document = formats.render_recorded_fleet(form, recorded, report, top)
    options.emit(document, output)
    if store:
        try:
            options.narrate(history.put_on_record(runs))
        except HistoryError as error:
            # The report is there, and its verdict counts.
            options.narrate(f"not put on record: {error}")
    exit_code = 0
    if save is not None and recorded is not None:
        try:
            _fleet_checks(settings).add_recorded(save, recorded)
        except HistoryError as error:
            options.narrate(f"not saved: {error}")
            exit_code = error.exit_code
    if fail_on:
        from pgwatch_tests.run.checks.report_gate import judge_report

        judgement = judge_report(fail_on, report)
        for finding in judgement.findings:
            options.narrate(f"--fail-on {finding.kind}: {finding.text}")
        for line in judgement.missing:
            options.narrate(f"not checked: {line}")
        verdict = EXIT_CODES[judgement.verdict]
        exit_code = verdict if judgement.verdict == "findings" else exit_code or verdict
    ctx.exit(exit_code)


def _of_fleet(
    runs: Sequence[RecordedRun],
    unreadable: Sequence[Unreadable],
    fleet: Sequence[Server],
    shard: Shard | None,
) -> tuple[list[RecordedRun], RecordedFleet]:
    """Returns the recordings of the fleet's servers, and their totals. Raises RecordingError without any."""
    from pgwatch_tests.postgres.connections.dsn import address, database_name
    from pgwatch_tests.record.merging.recorded_fleet import ListedServer, of_list, recorded_fleet

    listed = [ListedServer(one.name, address(one.dsn), database_name(one.dsn)) for one in fleet]
    by_server, others = of_list(runs, listed)
    if others:
        options.narrate(f"{plural(len(others), 'recording')} of other servers left out")
    of_fleet = [run for some in by_server.values() for run in some]
    if listed and not of_fleet:
        raise RecordingError(f"nothing to report: no recording is of {', '.join(by_server)}")
    return of_fleet, recorded_fleet(by_server, (f"{one.name}: {one.reason}" for one in unreadable), shard)


def _put_together(settings: Settings, name: str, fleet: Sequence[Server] | None) -> RecordedFleet:
    from pgwatch_tests.record.merging.recorded_fleet import put_together

    checks = _fleet_checks(settings)
    parts = checks.recorded_parts(name)
    if not parts:
        raise NotCheckedError(f"no part of {name!r} is in {checks.name}")
    return put_together(parts, [one.name for one in fleet or ()])


def _fleet_checks(settings: Settings) -> FleetChecks:
    # Only here: --help must not load SQLAlchemy.
    from pgwatch_tests.history.fleet_checks import FleetChecks

    return FleetChecks.open(settings)


@contextmanager
def uncollected() -> Iterator[None]:
    """Has no rings of garbage looked for: among the values of an hour that takes a sixth of all time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
