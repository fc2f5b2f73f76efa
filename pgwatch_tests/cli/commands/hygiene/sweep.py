"""`pgwatch-tests sweep`: removes test data that was left behind, or says what it would remove."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click
from click.core import ParameterSource

from pgwatch_tests.cli import fleet_options, formats, options, sweep_options
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.errors import EXIT_CODES, RefusedError
from pgwatch_tests.fleet.shards import Shard
from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.settings.load import Flags, Settings
from pgwatch_tests.sweep.gate import verdict
from pgwatch_tests.sweep.model import SweepReport, SweepsOfDatabases
from pgwatch_tests.sweep.request import SweepPart, SweepRequest
from pgwatch_tests.text.numbers import named, plural

_MOST_WARNINGS = 3  # databases of which the same is said
# What goes with --history.
_OF_HISTORY = {"dsn", "history", "limit", "form", "output"}


@click.command("sweep", epilog="\b\nExamples:\n  pgwatch-tests sweep\n  pgwatch-tests sweep --yes")
@options.dsn
@click.option("--yes", is_flag=True, help="Do it. Without this, nothing is changed.")
@click.option("--dry-run", is_flag=True, help="Change nothing, which is the default: only say what would go.")
@sweep_options.what_options
@options.marker
@options.inside
@options.ignore
@sweep_options.since_options
@sweep_options.databases_options
@sweep_options.how_options
@click.option(
    "--fail",
    is_flag=True,
    help="Exit with 1 if something stays that no later sweep removes by itself, with 4 if something couldn't "
    "be checked.",
)
@click.option(
    "--history", is_flag=True, help="Show the last sweeps instead: who, when, and with which result."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="With --history: how many.",
)
@options.read_only
@sweep_options.format_option
@options.output_file
@click.pass_context
def command(
    ctx: click.Context,
    dsn: str | None,
    yes: bool,
    dry_run: bool,
    min_age_s: float | None,
    keep_unmarked: bool,
    max_rows: int | None,
    run: str | None,
    test: str | None,
    table: str | None,
    kinds: tuple[SweepKind, ...],
    markers: tuple[str, ...],
    inside: bool,
    ignore: tuple[str, ...],
    baseline: Path | None,
    any_rows: bool,
    settle_s: float,
    transactions: Path | None,
    databases: tuple[str, ...],
    servers: tuple[str, ...],
    shard: Shard | None,
    jobs: int | None,
    verbose: bool,
    patience_s: float,
    temp_index: bool,
    batch: int,
    fail: bool,
    history: bool,
    limit: int,
    read_only: bool,
    form: Format,
    output: Path | None,
) -> None:
    """Remove the test data that was left behind, in foreign-key order: rows that bear a marker, what depends
    on them, and the schemas, databases and prepared transactions of tests that are over.

    Nothing is changed without --yes. Databases that don't look like those of tests are refused; what is
    young, in use, or would take real data with it stays, and the report says why. Ctrl-C ends the sweep
    after the batch that it is at.
    """
    given = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if yes and dry_run:
        raise click.UsageError("--yes and --dry-run can't be combined")
    if "limit" in given and not history:
        raise click.UsageError("--limit needs --history")
    if history:
        if given - _OF_HISTORY:
            raise click.UsageError("--history can be combined with --limit, --format and -o only")
        options.emit(_history(options.settings(Flags(dsn=dsn)), form, limit), output)
        return
    settings = options.settings(
        Flags(
            dsn=dsn,
            markers=markers,
            inside=inside,
            ignore=ignore,
            read_only=read_only,
            keep_unmarked=keep_unmarked,
            transactions=transactions,
        )
    )
    if yes and settings.read_only:
        raise RefusedError("nothing is swept: read_only is set; without --yes it's a dry run")
    request = SweepRequest(
        kinds=kinds,
        dry_run=not yes,
        min_age_s=_min_age_s(settings, min_age_s, run, test),
        min_age_is_firm=min_age_s is not None,
        max_rows=max_rows,
        run=run,
        test=test,
        part=None if table is None else SweepPart("rows", table),
        clusters_at_once=batch,
        patience_s=patience_s,
        temp_index=temp_index,
        keep_unmarked=settings.keep_unmarked,
        since=sweep_options.load_baseline(
            baseline, any_rows=any_rows, one_run=bool(run or test), databases=databases, servers=servers
        ),
        any_rows=any_rows,
        settle_s=settle_s,
    )
    if not request.sought:
        raise click.UsageError("--run, --test and --table choose among rows: they need rows in --only")
    options.check_output(output)
    fleet = fleet_options.chosen(settings, servers, databases, shard, dsn)
    if fleet is not None and yes:
        options.narrate(f"sweeping {plural(len(fleet), 'server')}: {', '.join(one.name for one in fleet)}")
    # Only here: --help must not load the database driver.
    from pgwatch_tests.cli.runs.sweep_run import run_sweep

    at_once = jobs or min(fleet_options.MOST_AT_ONCE, len(fleet or ())) or 1
    sweeps, signal_code = run_sweep(settings, request, databases, fleet, at_once)
    if isinstance(sweeps, SweepsOfDatabases) and shard is not None:
        sweeps = replace(sweeps, shard=str(shard))
    if sweeps is not None:
        options.emit(formats.render_sweep(form, sweeps, verbose), output)
    reports, reached = _reports(sweeps)
    if reached and (test or run) and not any(one.planned or one.kept or one.not_checked for one in reports):
        options.narrate(_nothing_carries(test, run))
    # The text of one database has the sentence itself.
    told = isinstance(sweeps, SweepReport) and output is None and form in ("table", "markdown")
    for line in _warnings(reports, max_rows, large_parts=not told):
        options.narrate(line)
    ctx.exit(_exit_code(sweeps, signal_code, fail))


def _warnings(reports: Sequence[SweepReport], max_rows: int | None, *, large_parts: bool) -> Iterator[str]:
    """What to mind, a line per database; a line for many of which the same is to be said.

    With `large_parts`, also where half of a table or more goes.
    """
    from pgwatch_tests.reports.sweeps import sweep_remarks, sweep_words
    from pgwatch_tests.text.plain_text import plain

    lines: dict[str, list[tuple[str, str]]] = {}
    for report in reports:
        where = plain(sweep_words.place(report))
        if max_rows is not None and report.dry_run and report.planned_rows > max_rows:
            rows = f"{plural(report.planned_rows, 'row')} would go, but --max-rows allows {max_rows:,}"
            line = f"with --yes nothing would be done in {where}: {rows}"
            lines.setdefault(f"--max-rows allows {max_rows:,}, and more would go", []).append((where, line))
        if large_parts and (mind := sweep_remarks.large_parts(report, plain)):
            line = f"warning: {where}: {mind}"
            lines.setdefault(f"warning: {mind.partition(':')[0]}", []).append((where, line))
        if report.error:
            line = f"the sweep of {where} ended early: {plain(report.error)}"
            lines.setdefault("sweeps ended early", []).append((where, line))
    for what, said in lines.items():
        if len(said) > _MOST_WARNINGS:
            yield f"{what}, in {plural(len(said), 'database')}: {named([where for where, _ in said])}"
        else:
            yield from (line for _, line in said)


def _history(settings: Settings, form: Format, limit: int) -> str:
    """The newest entries, newest first. Raises HistoryError, and click's UsageError for another format."""
    if form not in formats.TEXT_OR_JSON:
        raise click.UsageError("--history has the formats table and json")
    # Only here: --help must load neither the database driver nor SQLAlchemy.
    from pgwatch_tests.history.history import History

    history = History.open(settings)
    return formats.render_history(form, history.entries(limit), history.name)


def _min_age_s(settings: Settings, asked_for: float | None, run: str | None, test: str | None) -> float:
    """How old what goes must be, in seconds: of a run or a test that is named, none is too young."""
    if asked_for is not None:
        return asked_for
    return settings.min_age_s if run is None and test is None else 0.0


def _nothing_carries(test: str | None, run: str | None) -> str:
    """What to say where no row is of the test and the run that were asked for."""
    from pgwatch_tests.identity.value_tokens import token
    from pgwatch_tests.text.plain_text import plain

    wanted = [f"{token(test)}, the hash of {plain(test)}"] if test else []
    wanted += [f"r{plain(run)}, the id of the run"] if run else []
    what = f"no marked row carries {' and '.join(wanted)}"
    if test is None:
        return what
    return f"{what}. --test needs the whole id, as `pytest --collect-only -q` prints it"


def _exit_code(sweeps: SweepReport | SweepsOfDatabases | None, signal_code: int | None, fail: bool) -> int:
    reports, reached = _reports(sweeps)
    if failed := [report.error_exit_code for report in reports if report.error]:
        return max(failed)
    if signal_code is not None:
        return signal_code
    if isinstance(sweeps, SweepsOfDatabases) and sweeps.servers and not reports:
        return fleet_options.exit_code_of_none(one.exit_code for one in sweeps.not_swept)
    if not fail:
        return 0
    return EXIT_CODES[verdict(reports, reached)]


def _reports(sweeps: SweepReport | SweepsOfDatabases | None) -> tuple[tuple[SweepReport, ...], bool]:
    """The reports, and whether there is one of every database."""
    if sweeps is None:
        return (), False
    if isinstance(sweeps, SweepReport):
        return (sweeps,), True
    return sweeps.sweeps, not sweeps.not_swept
