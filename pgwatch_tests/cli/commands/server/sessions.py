"""`pgwatch-tests sessions`: who is connected, and what each does or waits for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import formats, options
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.settings.load import Flags

if TYPE_CHECKING:
    from pgwatch_tests.reports.sessions.session_rows import Order

_ORDERS: dict[str, Order] = {
    "state": "longest in state",
    "test": "test",
    "pid": "pid",
    "database": "database",
    "blocked": "blocked",
}


@click.command("sessions")
@options.dsn
@formats.format_option(
    formats.SESSIONS,
    "table: text; json: the document pgwatch-tests.sessions/1; csv: a line per session; markdown: for "
    "$GITHUB_STEP_SUMMARY.",
)
@click.option(
    "--database",
    "databases",
    multiple=True,
    metavar="GLOB",
    help="Only sessions of databases that match, such as 'test_*'. Several add up.",
)
@click.option(
    "--idle", is_flag=True, help="Only sessions that run no statement: idle, or idle in transaction."
)
@click.option(
    "--sort",
    "order",
    type=click.Choice(list(_ORDERS)),
    default="state",
    show_default=True,
    help="state: the blocked first, then those idle in transaction, the longest in their state first.",
)
@options.tests
@options.output_file
def command(
    dsn: str | None,
    form: Format,
    databases: tuple[str, ...],
    idle: bool,
    order: str,
    tests: Path | None,
    output: Path | None,
) -> None:
    """Print who is connected to the server: which test, in which state, since when, waiting for what.

    Sessions of all databases are shown, pgwatch-tests' own are not. Where the role can't see another's
    session, its state is "hidden". Nothing is ended: that is what `locks --cancel` and `--terminate` do.

    \b
    Examples:
      pgwatch-tests sessions
      pgwatch-tests sessions --database 'test_*' --idle
      pgwatch-tests sessions --sort database --format json
    """
    settings = options.settings(Flags(dsn=dsn, tests=tests))
    from pgwatch_tests.cli.runs.snapshot import read_locks
    from pgwatch_tests.reports.sessions.session_rows import session_rows

    snapshot = read_locks(settings)
    rows = session_rows(snapshot, _ORDERS[order], databases=databases, idle_only=idle)
    options.emit(formats.render_sessions(form, snapshot, rows), output, form)
