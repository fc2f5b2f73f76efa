"""`pgwatch-tests schedule`: sweeps and leak counts by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from pgwatch_tests.cli import formats, options
from pgwatch_tests.cli.completion.values import comma_list
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.errors import ConfigurationError, RefusedError
from pgwatch_tests.settings.fields import did_you_mean
from pgwatch_tests.settings.jobs import JobSetting, SweepKind
from pgwatch_tests.settings.load import Flags, Settings

if TYPE_CHECKING:
    from pgwatch_tests.history.model import HistoryEntry
    from pgwatch_tests.schedule.events import JobEvent

_SHORTEST_S = 1.0
_KINDS: tuple[SweepKind, ...] = get_args(SweepKind)


@click.group("schedule")
def command() -> None:
    """Sweep, or count leaks, by the clock.

    Jobs are declared in pyproject.toml, in [tool.pgwatch-tests.schedule.NAME] tables: every = "15m" or
    cron = "30 2 * * *", action = "sweep", "schemas" or "leaks", and options.
    """


def _every(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    seconds = options.optional_duration(ctx, param, value)
    if seconds is not None and seconds < _SHORTEST_S:
        raise click.BadParameter(f"at least {_SHORTEST_S:g} s")
    return seconds


def _only(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[SweepKind, ...]:
    return () if value is None else options.sweep_kinds(value)


@command.command("run")
@options.dsn
@click.option("--every", "every_s", callback=_every, metavar="DURATION", help="Sweep every 15m, 2h, 1d …")
@click.option(
    "--cron",
    metavar="EXPRESSION",
    help="Sweep at these times, five fields as in a crontab ('30 2 * * *'), in this machine's time zone.",
)
@click.option(
    "--only",
    callback=_only,
    shell_complete=comma_list(_KINDS),
    metavar="KINDS",
    help=f"With --every or --cron: remove only these, a comma list of {', '.join(_KINDS)}.",
)
@click.option(
    "--min-age",
    "min_age_s",
    callback=options.optional_duration,
    metavar="DURATION",
    help="With --every or --cron: how old test data must be. Default: PGWATCH_MIN_AGE, pyproject.toml, 10m.",
)
@click.option(
    "--databases",
    callback=options.names,
    metavar="NAMES",
    help="With --every or --cron: all databases with one of these names or globs, a comma list.",
)
@click.option("--dry-run", is_flag=True, help="With --every or --cron: remove nothing, count only.")
@click.option(
    "--keep-unmarked",
    is_flag=True,
    help="With --every or --cron: keep marked rows whose deletion would also delete unmarked ones.",
)
@click.pass_context
def run(
    ctx: click.Context,
    dsn: str | None,
    every_s: float | None,
    cron: str | None,
    only: tuple[SweepKind, ...],
    min_age_s: float | None,
    databases: tuple[str, ...],
    dry_run: bool,
    keep_unmarked: bool,
) -> None:
    """Run the jobs of the settings, or one sweep by --every or --cron, until SIGTERM or Ctrl-C.

    Writes a line per event to stderr; in systemd's journal with priorities and without times. The first
    signal ends it after a sweep's current batch, the second at once. Exit codes: 0 after SIGTERM, 130
    after Ctrl-C.

    \b
    Examples:
      pgwatch-tests schedule run
      pgwatch-tests schedule run --every 15m --databases 'test_*' --only rows,schemas
    """
    if every_s is not None and cron is not None:
        raise click.UsageError("--every and --cron can't be combined")
    settings = options.settings(Flags(dsn=dsn))
    if every_s is not None or cron is not None:
        jobs: tuple[JobSetting, ...] = (
            JobSetting(
                name="sweep",
                source="--cron",
                every_s=every_s,
                cron=cron,
                min_age_s=min_age_s,
                only=only,
                databases=databases,
                dry_run=dry_run,
                keep_unmarked=keep_unmarked or None,
            ),
        )
    elif only or min_age_s is not None or databases or dry_run or keep_unmarked:
        raise click.UsageError(
            "--only, --min-age, --databases, --dry-run and --keep-unmarked need --every or --cron"
        )
    else:
        jobs = _enabled(settings)
    from pgwatch_tests.cli.runs import schedule_daemon

    ctx.exit(schedule_daemon.run(settings, jobs))


@command.command("list")
@options.dsn
@formats.format_option(formats.TEXT_OR_JSON, "table: text; json: the document pgwatch-tests.schedule/1.")
@options.output_file
def list_jobs(dsn: str | None, form: Format, output: Path | None) -> None:
    """List the jobs: what each does, when it runs next, and its last result.

    When a job with an interval runs next isn't known here: the interval begins with `schedule run`.
    """
    settings = options.settings(Flags(dsn=dsn))
    from pgwatch_tests.history.history import History
    from pgwatch_tests.schedule.schedule import Schedule

    jobs = Schedule(settings, settings.schedule, History.open(settings), _narrate_warning).jobs()
    options.emit(formats.render_schedule(form, jobs), output)


@command.command("now")
@click.argument("name")
@options.dsn
@formats.format_option(
    formats.JOBS,
    "table: a line per database; openmetrics: for a node exporter's textfile or a push gateway.",
)
@options.output_file
@click.pass_context
def now(ctx: click.Context, name: str, dsn: str | None, form: Format, output: Path | None) -> None:
    """Run the job NAME now, also a disabled one, and print its result.

    Ctrl-C ends a sweep after its batch, a second one at once. Exit codes: 0 done, 2 refused, or another sweep
    was running, 3 no connection or it was lost, 130 interrupted.
    """
    settings = options.settings(Flags(dsn=dsn))
    job = next((job for job in settings.schedule if job.name == name), None)
    if job is None:
        known = [job.name for job in settings.schedule]
        raise RefusedError(f"there is no job {name!r}{did_you_mean(name, known) if known else ''}")
    options.check_output(output)
    from pgwatch_tests.cli.runs import schedule_daemon

    def write(entries: Sequence[HistoryEntry]) -> None:
        options.emit(formats.render_job(form, entries), output)

    ctx.exit(schedule_daemon.run_once(settings, job, _narrate_warning, write))


def _enabled(settings: Settings) -> tuple[JobSetting, ...]:
    jobs = tuple(job for job in settings.schedule if job.enabled)
    if not jobs:
        why = "all jobs are disabled" if settings.schedule else "there are no jobs"
        raise ConfigurationError(
            f"{why}: give --every or --cron, or declare some in pyproject.toml: "
            "[tool.pgwatch-tests.schedule.NAME] with every or cron"
        )
    return jobs


def _narrate_warning(event: JobEvent) -> None:
    if event.kind == "warning":
        # Only here: --help needs none of it.
        from pgwatch_tests.text.plain_text import plain

        options.narrate(f"{plain(event.job)}: {plain(event.text)}")
