"""`pgwatch-tests sweep --since FILE`: what was there when a baseline was taken stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from pgwatch_tests.cli import options

if TYPE_CHECKING:
    from pgwatch_tests.leaks.baseline.baseline import Baseline

F = TypeVar("F", bound=Callable[..., object])


def since_options(function: F) -> F:
    """What a baseline is asked for: `baseline`, `any_rows`, `settle_s` and `transactions`."""
    choices = (
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
    for choice in reversed(choices):
        function = choice(function)
    return function


def loaded(
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
