"""`pgwatch-tests leaks`: counts the test rows that were left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from pgwatch_tests.cli import leak_index, options
from pgwatch_tests.cli.progress import Progress
from pgwatch_tests.config import Flags

FINDINGS = 1
INCOMPLETE = 4


@click.group(
    "leaks",
    invoke_without_command=True,
    subcommand_metavar="[index ...]",
    epilog="Example: pgwatch-tests leaks --fail --marker '%@test.example.com'",
)
@options.dsn
@options.marker
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
    fail: bool,
    format_: Literal["table", "json"],
    output: Path | None,
) -> None:
    """Count the test rows that were left behind, in all tables of a database.

    A row is leaked if one of its string columns bears a marker: an address at test.example.com, or
    an id like user_1717171717171_a1b2c3, unless --marker or pyproject.toml says otherwise. Tables that
    couldn't be checked are listed with the reason.
    """
    if ctx.invoked_subcommand is not None:
        if any(ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in ctx.params):
            raise click.UsageError(f"options belong behind {ctx.invoked_subcommand!r}")
        return
    settings = options.settings(Flags(dsn=dsn, markers=markers))
    # Only here: --help must not load the database driver.
    from pgwatch_tests.leaks.count import LeakScan

    progress = Progress("counting in tables", _progress_line, lambda: scan.share_done)
    scan = LeakScan(settings, progress.show)
    with progress:
        report = scan.run()
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


command.add_command(leak_index.command)
