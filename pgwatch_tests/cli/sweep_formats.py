"""The forms in which `sweep` can say what it did, and its options for what to sweep."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar, assert_never, get_args

import click

from pgwatch_tests.cli import options
from pgwatch_tests.sweep.model import DEFAULT_SWEEP_KINDS, SweepKind

if TYPE_CHECKING:
    from pgwatch_tests.sweep.model import SweepReport, SweepsOfDatabases

F = TypeVar("F", bound=Callable[..., object])
Format = Literal["table", "json", "csv", "markdown"]
FORMATS: tuple[Format, ...] = get_args(Format)
KINDS: tuple[SweepKind, ...] = get_args(SweepKind)

_RUN = re.compile(r"[0-9a-fA-F]{8}")


def format_option(function: F) -> F:
    """`--format`, as `form`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="table: text; json: the document pgwatch-tests.sweep/1, with --databases "
        "pgwatch-tests.sweeps-of-databases/1, with --history pgwatch-tests.sweep-history/1; csv: a line a "
        "table, reason and orphan; markdown: for $GITHUB_STEP_SUMMARY.",
    )(function)


def what_options(function: F) -> F:
    """Which data is meant: `min_age_s`, `keep_unmarked`, `max_rows`, `run`, `test` and `kinds`."""
    choices = (
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
        click.option(
            "--test", metavar="NODEID", help="Only rows whose values carry the hash of this test's id."
        ),
        click.option(
            "--only",
            "kinds",
            callback=_kinds,
            metavar="KINDS",
            help=f"What to remove, a comma list of {', '.join(KINDS)}. Default: "
            f"{', '.join(DEFAULT_SWEEP_KINDS)}; sessions are ended only if they are named.",
        ),
    )
    for choice in reversed(choices):
        function = choice(function)
    return function


def how_options(function: F) -> F:
    """How it goes about it: `patience_s`, `temp_index` and `batch`."""
    choices = (
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
    for choice in reversed(choices):
        function = choice(function)
    return function


def databases_option(function: F) -> F:
    """`--databases`, as `databases`."""
    return click.option(
        "--databases",
        callback=options.names,
        metavar="NAMES",
        help="Sweep all databases of the server that have one of these names, one after the other, instead "
        "of the one of --dsn: a comma list of names or globs such as 'test_*'. Only those of tests are.",
    )(function)


def rendered(form: Format, sweeps: SweepReport | SweepsOfDatabases) -> str:
    """What was done, or would be, in that form."""
    from pgwatch_tests.sweep.model import SweepReport

    match form:
        case "table":
            from pgwatch_tests.reports.sweeps import sweep_table

            if isinstance(sweeps, SweepReport):
                return sweep_table.table(sweeps)
            return sweep_table.table_of_databases(sweeps)
        case "json":
            from pgwatch_tests.reports.sweeps import sweep_json

            if isinstance(sweeps, SweepReport):
                return sweep_json.document(sweeps)
            return sweep_json.document_of_databases(sweeps)
        case "csv":
            from pgwatch_tests.reports.sweeps import sweep_csv

            if isinstance(sweeps, SweepReport):
                return sweep_csv.document(sweeps)
            return sweep_csv.document_of_databases(sweeps)
        case "markdown":
            from pgwatch_tests.reports.sweeps import sweep_markdown

            if isinstance(sweeps, SweepReport):
                return sweep_markdown.document(sweeps)
            return sweep_markdown.document_of_databases(sweeps)
    assert_never(form)


def _run(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _RUN.fullmatch(value):
        raise click.BadParameter(f"{value!r} isn't 8 hex digits")
    return None if value is None else value.lower()


def _kinds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[SweepKind, ...]:
    if value is None:
        return DEFAULT_SWEEP_KINDS
    return options.sweep_kinds(value)
