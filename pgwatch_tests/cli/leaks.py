"""`pgwatch-tests leaks`: counts the test rows that were left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from pgwatch_tests.cli import options
from pgwatch_tests.cli.progress import Progress
from pgwatch_tests.config import Flags

FINDINGS = 1
INCOMPLETE = 4


@click.command("leaks", epilog="Example: pgwatch-tests leaks --fail --marker '%@test.example.com'")
@options.dsn
@click.option(
    "--marker",
    "markers",
    multiple=True,
    metavar="PATTERN",
    help="What test data looks like, instead of the configured markers: a LIKE pattern (the case of "
    "letters is ignored), or 're:' and a PostgreSQL regular expression. May be repeated.",
)
@click.option(
    "--since",
    "baseline",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Count only rows that are new or changed since `pgwatch-tests baseline -o FILE`.",
)
@click.option(
    "--any", "any_rows", is_flag=True, help="With --since: count all such rows, not only marked ones."
)
@click.option(
    "--settle",
    "settle_s",
    default="0s",
    show_default=True,
    callback=options.duration,
    metavar="DURATION",
    help="With --since: how long to wait for sessions to end or to be idle for 11 s, so that tables can be "
    "left out that the server's statistics prove untouched (PostgreSQL 15 or newer).",
)
@click.option(
    "--fail",
    is_flag=True,
    help="Exit with 1 if there are leaked rows, with 4 if a table couldn't be checked.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="The output's form.",
)
@options.output_file
@click.pass_context
def command(
    ctx: click.Context,
    dsn: str | None,
    markers: tuple[str, ...],
    baseline: Path | None,
    any_rows: bool,
    settle_s: float,
    fail: bool,
    format_: Literal["table", "json"],
    output: Path | None,
) -> None:
    """Count the test rows that were left behind, in all tables of a database.

    A row is leaked if one of its string columns bears a marker: an address at test.example.com, or
    an id like user_1717171717171_a1b2c3, unless --marker or pyproject.toml says otherwise. Tables that
    couldn't be checked are listed with the reason.
    """
    if baseline is None and (any_rows or settle_s):
        raise click.UsageError("--any and --settle need --since FILE")
    settings = options.settings(Flags(dsn=dsn, markers=markers))
    # Only here: --help must not load the database driver.
    from pgwatch_tests.leaks import baseline_file
    from pgwatch_tests.leaks.comparison import Since
    from pgwatch_tests.leaks.count import scan

    since = None if baseline is None else Since(baseline_file.load(baseline), any_rows, settle_s)
    with Progress("counting in tables", _progress_line) as progress:
        report = scan(settings, progress.show, since)
    if format_ == "json":
        from pgwatch_tests.reports.leak_json import document

        options.emit(document(report), output)
    else:
        from pgwatch_tests.reports.leak_table import table

        options.emit(table(report), output)
    if fail:
        ctx.exit(FINDINGS if report.total else 0 if report.complete else INCOMPLETE)


def _progress_line(done: int, total: int) -> str:
    return f"counted in {done} of {total} tables"
