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
    "--transactions",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Say which test left each row, by the transaction logs in this directory, and by the hashes of "
    "their tests. Default: PGWATCH_TRANSACTIONS, pyproject.toml.",
)
@click.option(
    "--tests",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Test ids, one a line: say which of them left each row whose value carries a test's hash.",
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
    transactions: Path | None,
    tests: Path | None,
    fail: bool,
    format_: Literal["table", "json"],
    output: Path | None,
) -> None:
    """Count the test rows that were left behind, in all tables of a database.

    A row is leaked if one of its string columns bears a marker: an address at test.example.com, or
    an id like user_1717171717171_a1b2c3, unless --marker or pyproject.toml says otherwise. Tables that
    couldn't be checked are listed with the reason.
    """
    settings = options.settings(Flags(dsn=dsn, markers=markers, transactions=transactions, tests=tests))
    # Only here: --help must not load the database driver.
    from pgwatch_tests.leaks.count import scan

    with Progress("counting in tables", _progress_line) as progress:
        report = scan(settings, progress.show)
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
