"""The forms in which `leaks` can say what it found, and its options for leftovers, the gate and databases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, assert_never, get_args

import click

from pgwatch_tests.cli import options
from pgwatch_tests.leaks import gate
from pgwatch_tests.leaks.gate import DEFAULT_FAIL_ON, DEFAULT_KINDS, SINCE_KINDS, Finding, Gate
from pgwatch_tests.leaks.model import LeftoverKind

if TYPE_CHECKING:
    from pgwatch_tests.leaks.baseline.baseline import Baseline
    from pgwatch_tests.leaks.many_databases_model import LeaksOfDatabases
    from pgwatch_tests.leaks.model import LeakReport

F = TypeVar("F", bound=Callable[..., object])
Format = Literal["table", "json", "csv", "markdown", "github", "junit"]
FORMATS: tuple[Format, ...] = get_args(Format)
Output = tuple[Format, Path | None]
"""A form, and the file that it goes to; None: stdout."""


def format_option(function: F) -> F:
    """`--format`, as `form`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="table: text; json: the document pgwatch-tests.leaks/1, with --databases "
        "pgwatch-tests.leaks-of-databases/1; csv: a line a table and leftover; markdown: for "
        "$GITHUB_STEP_SUMMARY; github: workflow annotations; junit: a test case a table and leftover kind.",
    )(function)


def also_option(function: F) -> F:
    """`--also`, as `also`: forms and where they go."""
    return click.option(
        "--also",
        multiple=True,
        callback=_also,
        metavar="FORMAT[=FILE]",
        help="A further form of the same count, into a file or to stdout: --also junit=leaks.xml. May be "
        "repeated.",
    )(function)


def gate_options(function: F) -> F:
    """`--kinds` as `kinds`, `--fail-on` as `fail_on` and `--max` as `max_rows`."""
    choices = (
        click.option(
            "--kinds",
            callback=_kinds,
            default="default",
            metavar="KINDS",
            help="Which leftovers beside rows to look for: a comma list, 'all' or 'none'. Default: "
            f"{', '.join(DEFAULT_KINDS)}. Beside these there are database, large_object, unlogged_table and "
            f"setting, which may well be there on purpose; and with --since {', '.join(SINCE_KINDS)} and "
            "new large objects, which are then looked for too. What --fail fails on is always looked for.",
        ),
        click.option(
            "--fail-on",
            "fail_on",
            callback=_fail_on,
            metavar="KINDS",
            help="What --fail fails on, a comma list of rows and kinds of leftovers, or 'all' or 'default'. "
            "With 'unread', exit code 4 if there are columns that no marker is looked for in (XML …). "
            f"Default: {', '.join(DEFAULT_FAIL_ON)}. Means --fail.",
        ),
        click.option(
            "--max",
            "max_rows",
            type=click.IntRange(min=0),
            metavar="N",
            help="So many leaked rows are tolerated, in all databases together. Default: 0. Means --fail.",
        ),
    )
    for choice in reversed(choices):
        function = choice(function)
    return function


def databases_options(function: F) -> F:
    """`--databases` as `databases` and `--jobs` as `jobs`."""
    function = click.option(
        "--jobs",
        type=click.IntRange(1, 64),
        default=4,
        show_default=True,
        metavar="N",
        help="How many of --databases to check at once, each over a connection of its own.",
    )(function)
    return click.option(
        "--databases",
        callback=options.names,
        metavar="NAMES",
        help="Check all databases of the server that have one of these names, instead of the one of --dsn: a "
        "comma list of names or globs such as 'test_*'. Templates are never checked.",
    )(function)


def gate_of(fail_on: tuple[Finding, ...] | None, max_rows: int | None, baseline: Baseline | None) -> Gate:
    """The gate that the options describe. Raises click.UsageError for a kind that needs a baseline."""
    named = Gate(frozenset(DEFAULT_FAIL_ON if fail_on is None else fail_on), max_rows or 0)
    kinds = _tellable(tuple(named.kinds), baseline)
    return replace(named, fail_on=named.fail_on - named.kinds | set(kinds))


def to_look_for(kinds: tuple[LeftoverKind, ...], baseline: Baseline | None) -> tuple[LeftoverKind, ...]:
    """Which of the leftovers that the options name can be looked for. Raises click.UsageError."""
    if baseline is not None and kinds == DEFAULT_KINDS:
        kinds = gate.BESIDE_A_BASELINE
    return _tellable(kinds, baseline)


def _tellable(kinds: tuple[LeftoverKind, ...], baseline: Baseline | None) -> tuple[LeftoverKind, ...]:
    has_content = baseline is not None and baseline.content is not None
    try:
        return gate.tellable(kinds, has_baseline=baseline is not None, has_content=has_content)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def rendered(form: Format, leaks: LeakReport | LeaksOfDatabases, gate: Gate) -> str:
    """What was found in that form; `gate` says what of it is an error and what a warning."""
    from pgwatch_tests.leaks.model import LeakReport

    match form:
        case "table":
            from pgwatch_tests.reports.leaks import leak_table

            if isinstance(leaks, LeakReport):
                return leak_table.table(leaks)
            return leak_table.table_of_databases(leaks)
        case "json":
            from pgwatch_tests.reports.leaks import leak_json

            if isinstance(leaks, LeakReport):
                return leak_json.document(leaks)
            return leak_json.document_of_databases(leaks)
        case "csv":
            from pgwatch_tests.reports.leaks import leak_csv

            if isinstance(leaks, LeakReport):
                return leak_csv.document(leaks)
            return leak_csv.document_of_databases(leaks)
        case "markdown":
            from pgwatch_tests.reports.leaks import leak_markdown

            if isinstance(leaks, LeakReport):
                return leak_markdown.document(leaks, gate)
            return leak_markdown.document_of_databases(leaks, gate)
        case "github":
            from pgwatch_tests.reports.leaks import leak_github

            if isinstance(leaks, LeakReport):
                return leak_github.document(leaks, gate)
            return leak_github.document_of_databases(leaks, gate)
        case "junit":
            from pgwatch_tests.reports.leaks import leak_junit

            if isinstance(leaks, LeakReport):
                return leak_junit.document(leaks, gate)
            return leak_junit.document_of_databases(leaks, gate)
    assert_never(form)


def write(leaks: LeakReport | LeaksOfDatabases, outputs: Sequence[Output], gate: Gate) -> None:
    """Writes every form to where it goes. Raises ConfigurationError for one that can't be written."""
    for form, output in outputs:
        options.emit(rendered(form, leaks, gate), output)


def _also(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[Output, ...]:
    found: list[Output] = []
    for value in values:
        word, equals, file = value.partition("=")
        form = next((one for one in FORMATS if one == word), None)
        if form is None:
            raise click.BadParameter(f"{word!r} is none of {', '.join(FORMATS)}")
        if equals and not file:
            raise click.BadParameter(f"{value!r} names no file")
        found.append((form, Path(file) if file else None))
    return tuple(found)


def _kinds(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[LeftoverKind, ...]:
    try:
        return gate.kinds_named(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _fail_on(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[Finding, ...] | None:
    try:
        return None if value is None else gate.findings_named(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
