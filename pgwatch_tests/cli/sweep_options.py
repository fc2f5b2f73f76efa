"""Options of `sweep`: its formats, what to sweep, how, and since which baseline."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from pgwatch_tests.cli import fleet_options, formats, options
from pgwatch_tests.cli.completion.values import comma_list
from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.sweep.request import DEFAULT_SWEEP_KINDS

if TYPE_CHECKING:
    from pgwatch_tests.leaks.baseline.baseline import Baseline

KINDS: tuple[SweepKind, ...] = get_args(SweepKind)

_RUN = re.compile(r"[0-9a-fA-F]{8}")


def _run(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _RUN.fullmatch(value):
        raise click.BadParameter(f"{value!r} isn't 8 hex digits")
    return None if value is None else value.lower()


def _kinds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[SweepKind, ...]:
    if value is None:
        return DEFAULT_SWEEP_KINDS
    return options.sweep_kinds(value)


format_option = formats.format_option(
    formats.SWEEPS,
    "table: text; json: the document pgwatch-tests.sweep/1, with --databases or "
    "--servers pgwatch-tests.sweeps-of-databases/1, with --history pgwatch-tests.sweep-history/1; csv: a "
    "line per table, reason and orphan; markdown: for $GITHUB_STEP_SUMMARY; openmetrics: for a node "
    "exporter's textfile or a push gateway.",
)


# Which data is meant: `min_age_s`, `keep_unmarked`, `max_rows`, `run`, `test`, `table` and `kinds`.
what_options = options.all_of(
    click.option(
        "--min-age",
        "min_age_s",
        callback=options.optional_duration,
        metavar="DURATION",
        help="Keep what is younger than this or of unknown age; 0s removes it whatever its age. The age of a "
        "row counts from the latest of the stamp in its marker, its created_at and its last commit "
        "(track_commit_timestamp). Default: "
        "PGWATCH_MIN_AGE, pyproject.toml, 10m; 0s with --run or --test, and for what a run left that has "
        "given its lease back.",
    ),
    click.option(
        "--keep-unmarked",
        is_flag=True,
        help="Keep marked rows whose deletion would also delete unmarked rows (ON DELETE CASCADE) of tables "
        "in which other rows are marked. Default: PGWATCH_KEEP_UNMARKED, pyproject.toml, off.",
    ),
    click.option(
        "--max-rows",
        type=click.IntRange(min=0),
        metavar="N",
        help="Remove nothing from a database that would lose more than N rows.",
    ),
    click.option(
        "--run", callback=_run, metavar="ID", help="Only rows of the run with this id, 8 hex digits."
    ),
    click.option("--test", metavar="NODEID", help="Only rows whose values carry the hash of this test's id."),
    click.option(
        "--table",
        metavar="SCHEMA.TABLE",
        help="Only marked rows of this table, and what depends on them, in whatever table.",
    ),
    click.option(
        "--only",
        "kinds",
        callback=_kinds,
        shell_complete=comma_list(KINDS),
        metavar="KINDS",
        help=f"What to remove, a comma list of {', '.join(KINDS)}. Default: "
        f"{', '.join(DEFAULT_SWEEP_KINDS)}; sessions are ended only if they are named.",
    ),
)


# How it goes about it: `patience_s`, `temp_index` and `batch`.
how_options = options.all_of(
    click.option(
        "--patience",
        "patience_s",
        default="60s",
        show_default=True,
        callback=options.duration,
        metavar="DURATION",
        help="Skip tables that would take longer than this because a foreign key has no index.",
    ),
    click.option(
        "--temp-index",
        is_flag=True,
        help="Create the missing indexes for the sweep, and drop them at its end.",
    ),
    click.option(
        "--batch",
        type=click.IntRange(min=1),
        default=500,
        show_default=True,
        metavar="N",
        help="How many clusters to delete per transaction: a marked row, and all that depends on it, is one.",
    ),
)


# `databases`, `servers`, `shard` (`--servers-shard`), `jobs` and `verbose`.
databases_options = options.all_of(
    click.option(
        "--databases",
        callback=options.names,
        metavar="NAMES",
        help="Sweep the server's databases of these names, one after the other, instead of that of --dsn: a "
        "comma list of names or globs such as 'test_*'. Only databases of tests are swept. Several share one "
        "report.",
    ),
    fleet_options.servers_options,
    click.option(
        "--jobs",
        type=click.IntRange(1, 64),
        metavar="N",
        help="How many of --servers to sweep at once; on each, one database after the other. "
        f"Default: all, at most {fleet_options.MOST_AT_ONCE}.",
    ),
    click.option(
        "--verbose",
        "-v",
        is_flag=True,
        help="With several databases: name those without anything to do, and tell all of each of the others.",
    ),
)


# What a baseline is asked for: `baseline`, `any_rows`, `settle_s` and `transactions`.
since_options = options.all_of(
    click.option(
        "--since",
        "baseline",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Keep everything that was there when `pgwatch-tests baseline -o FILE` ran, marked or not.",
    ),
    click.option(
        "--any",
        "any_rows",
        is_flag=True,
        help="With --since: also remove unmarked rows that are certain to have come since: by their "
        "created_at, or because no row of their table was updated.",
    ),
    click.option(
        "--settle",
        "settle_s",
        default="0s",
        show_default=True,
        callback=options.duration,
        metavar="DURATION",
        help="With --any: how long to wait for sessions to end or to be idle for 11 s, so that the "
        "server's statistics prove which tables had no row updated (PostgreSQL 15 or newer).",
    ),
    options.transactions,
)


def load_baseline(
    file: Path | None, *, any_rows: bool, one_run: bool, databases: tuple[str, ...], servers: tuple[str, ...]
) -> Baseline | None:
    """The baseline. Raises click's UsageError for what doesn't go together, and ConfigurationError."""
    if file is None:
        if any_rows:
            raise click.UsageError("--any needs --since FILE")
        return None
    if databases or servers:
        which = "--databases" if databases else "--servers"
        raise click.UsageError(f"--since and {which} can't be combined: a baseline is of one database")
    if any_rows and one_run:
        raise click.UsageError(
            "--any can't be combined with --run or --test: whose the unmarked rows are isn't known"
        )
    # Only here: --help must not load the database driver.
    from pgwatch_tests.leaks.baseline import baseline_file

    return baseline_file.load(file)
