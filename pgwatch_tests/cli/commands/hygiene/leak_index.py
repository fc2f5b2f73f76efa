"""`pgwatch-tests leaks index`: partial indexes that make a count as cheap as the leak is small."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import click

from pgwatch_tests.cli import options
from pgwatch_tests.errors import EXIT_CODES
from pgwatch_tests.settings.load import Flags, Settings
from pgwatch_tests.text.numbers import plural

if TYPE_CHECKING:
    from pgwatch_tests.leaks.indexes.index_model import IndexOutcome
    from pgwatch_tests.leaks.indexes.indexes import LeakIndexes

_MB = 1024 * 1024


@click.command("index", epilog="Example: pgwatch-tests leaks index --create --table public.users")
@click.option("--create", "action", flag_value="create", help="Create the indexes, after asking.")
@click.option("--drop", "action", flag_value="drop", help="Drop them, after asking.")
@click.option("--list", "action", flag_value="list", help="Print those that are there.")
@click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="SCHEMA.TABLE",
    help="Only for this table, however small; a partitioned one stands for its leaves. May be repeated.",
)
@click.option(
    "--min-size",
    "min_mb",
    type=options.Number(min=0),
    default=100.0,
    show_default=True,
    metavar="MB",
    help="The size from which tables get an index, unless --table names some.",
)
@click.option(
    "--any-database", is_flag=True, help="Allow a database whose name doesn't look like one of tests."
)
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@options.dsn
@options.marker
@click.pass_context
def command(
    ctx: click.Context,
    action: Literal["create", "drop", "list"] | None,
    tables: tuple[str, ...],
    min_mb: float,
    any_database: bool,
    yes: bool,
    dsn: str | None,
    markers: tuple[str, ...],
) -> None:
    """Create, drop or list the indexes that a count of test rows can use.

    Each holds only the rows of a table that bear a marker, so a count takes milliseconds however large the
    table is. They are created CONCURRENTLY, in test databases only, and fit the markers that are configured:
    after a change of these, --create replaces them. Exit code 4: not all of it was done.
    """
    if action is None:
        raise click.UsageError("use one of --create, --drop and --list")
    settings = options.settings(Flags(dsn=dsn, markers=markers))
    options.check_may_ask(yes or action == "list")
    ctx.exit(_run(settings, action, tables, round(min_mb * _MB), any_database, yes))


def _run(
    settings: Settings,
    action: Literal["create", "drop", "list"],
    tables: tuple[str, ...],
    smallest_bytes: int,
    any_database: bool,
    yes: bool,
) -> int:
    """Returns the exit code."""
    # Only here: --help must not load the database driver.
    from pgwatch_tests.leaks.indexes.indexes import LeakIndexes
    from pgwatch_tests.reports.leaks.leak_indexes import listing

    with LeakIndexes(settings, any_database=any_database) as indexes:
        if action == "list":
            options.emit(listing(indexes.list(tables)), None)
            return 0
        if action == "drop":
            return _drop(indexes, tables, yes)
        return _create(indexes, tables, smallest_bytes, yes)


def _create(indexes: LeakIndexes, tables: tuple[str, ...], smallest_bytes: int, yes: bool) -> int:
    from pgwatch_tests.reports.leaks.leak_indexes import plan_text
    from pgwatch_tests.text.plain_text import plain

    plan = indexes.plan(tables, smallest_bytes)
    click.echo(plan_text(plan), err=True)
    if not plan.planned:
        return EXIT_CODES["incomplete" if plan.impossible else "clean"]
    if not yes:
        options.confirm(f"Create {plural(len(plan.planned), 'index', 'indexes')} in {plan.database}?")
    try:
        complete = _told(indexes.create(plan))
    finally:
        for statement in indexes.left:
            click.echo(f"left half made: {plain(statement)}", err=True)
    return EXIT_CODES["clean" if complete and not plan.impossible else "incomplete"]


def _drop(indexes: LeakIndexes, tables: tuple[str, ...], yes: bool) -> int:
    from pgwatch_tests.reports.leaks.leak_indexes import listing

    facts = indexes.guard()
    present = indexes.list(tables)
    click.echo(listing(present), err=True)
    if not present:
        return 0
    if not yes:
        options.confirm(f"Drop {plural(len(present), 'index', 'indexes')} in {facts.database}?")
    return EXIT_CODES["clean" if _told(indexes.drop(present)) else "incomplete"]


def _told(outcomes: Iterable[IndexOutcome]) -> bool:
    """Prints each; returns whether all went well."""
    from pgwatch_tests.reports.leaks.leak_indexes import outcome_line

    well = True
    for outcome in outcomes:
        click.echo(outcome_line(outcome))
        well = well and outcome.result in ("made", "dropped")
    return well
