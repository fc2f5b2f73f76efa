"""Options of `sweep`: its formats, what to sweep, how, and since which baseline."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from pgwatch_tests.cli import formats, options
from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.sweep.model import DEFAULT_SWEEP_KINDS

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
    "table: text; json: the document pgwatch-tests.sweep/1, with --databases "
    "pgwatch-tests.sweeps-of-databases/1, with --history pgwatch-tests.sweep-history/1; csv: a line per "
    "table, reason and orphan; markdown: for $GITHUB_STEP_SUMMARY.",
)


# Which data is meant: `min_age_s`, `keep_unmarked`, `max_rows`, `run`, `test` and `kinds`.
what_options = options.all_of(
    click.option(
        "--min-age",
        "min_age_s",
        callback=options.optional_duration,
        metavar="DURATION",
        help="Leave alone what isn't that old, or of unknown age; 0s: whatever its age. Default: "
        "PGWATCH_MIN_AGE, pyproject.toml, 10m, but none for what a run left whose lease was given back; "
        "with --run or --test 0s.",
    ),
    click.option(
        "--keep-unmarked",
        is_flag=True,
        help="Keep whatever would take rows without a marker along (ON DELETE CASCADE), from tables in "
        "which others bear one. Default: PGWATCH_KEEP_UNMARKED, pyproject.toml, off.",
    ),
    click.option(
        "--max-rows",
        type=click.IntRange(min=0),
        metavar="N",
        help="Remove nothing if more rows than that would go from a database.",
    ),
    click.option(
        "--run", callback=_run, metavar="ID", help="Only rows of the run with this id, 8 hex digits."
    ),
    click.option("--test", metavar="NODEID", help="Only rows whose values carry the hash of this test's id."),
    click.option(
        "--only",
        "kinds",
        callback=_kinds,
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
        help="Leave tables alone that would take longer than that for want of an index on a foreign key.",
    ),
    click.option(
        "--temp-index", is_flag=True, help="Make such indexes for the sweep, and drop them at its end."
    ),
    click.option(
        "--batch",
        type=click.IntRange(min=1),
        default=500,
        show_default=True,
        metavar="N",
        help="How many clusters, a marked row and all that depends on it, go in one transaction.",
    ),
)


# `--databases`, as `databases`.
databases_option = click.option(
    "--databases",
    callback=options.names,
    metavar="NAMES",
    help="Sweep all databases of the server that have one of these names, one after the other, instead "
    "of the one of --dsn: a comma list of names or globs such as 'test_*'. Only those of tests are.",
)


# What a baseline is asked for: `baseline`, `any_rows`, `settle_s` and `transactions`.
since_options = options.all_of(
    click.option(
        "--since",
        "baseline",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Keep everything that was there at `pgwatch-tests baseline -o FILE`, whatever it bears.",
    ),
    click.option(
        "--any",
        "any_rows",
        is_flag=True,
        help="With --since: remove rows without a marker too, where it is sure that they came since: by "
        "their created_at, or since no row of their table was updated.",
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
    file: Path | None, *, any_rows: bool, one_run: bool, databases: tuple[str, ...]
) -> Baseline | None:
    """The baseline. Raises click's UsageError for what doesn't go together, and ConfigurationError."""
    if file is None:
        if any_rows:
            raise click.UsageError("--any needs --since FILE")
        return None
    if databases:
        raise click.UsageError("a baseline is of one database: --since doesn't go with --databases")
    if any_rows and one_run:
        raise click.UsageError(
            "rows without a marker are of no known run or test: --any goes without --run, --test"
        )
    # Only here: --help must not load the database driver.
    from pgwatch_tests.leaks.baseline import baseline_file

    return baseline_file.load(file)
