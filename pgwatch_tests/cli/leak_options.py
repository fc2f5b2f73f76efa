"""Options of `leaks`: its formats and where they go, leftovers, the gate and databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import fleet_options, formats, options
from pgwatch_tests.cli.completion.values import comma_list, format_and_file
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.leaks import gate
from pgwatch_tests.leaks.gate import (
    DEFAULT_FAIL_ON,
    DEFAULT_KINDS,
    OTHER_KINDS,
    SINCE_KINDS,
    FindingKind,
    Gate,
)
from pgwatch_tests.leaks.model import LeftoverKind

if TYPE_CHECKING:
    from pgwatch_tests.leaks.baseline.baseline import Baseline
    from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases

Output = tuple[Format, Path | None]
"""A form, and the file that it goes to; None: stdout."""


def _also(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[Output, ...]:
    outputs: list[Output] = []
    for value in values:
        word, equals, file = value.partition("=")
        form = next((one for one in formats.LEAKS if one == word), None)
        if form is None:
            raise click.BadParameter(f"{word!r} is none of {', '.join(formats.LEAKS)}")
        if equals and not file:
            raise click.BadParameter(f"{value!r} names no file")
        outputs.append((form, Path(file) if file not in ("", "-") else None))
    return tuple(outputs)


def _kinds(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[LeftoverKind, ...]:
    try:
        return gate.kinds_named(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _fail_on(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[FindingKind, ...] | None:
    try:
        return None if value is None else gate.findings_named(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


format_option = formats.format_option(
    formats.LEAKS,
    "table: text; json: the document pgwatch-tests.leaks/1, with --databases "
    "or --servers pgwatch-tests.leaks-of-databases/1; csv: a line per table and leftover; markdown: for "
    "$GITHUB_STEP_SUMMARY; github: workflow annotations; junit: a test case per table and leftover kind; "
    "openmetrics: for a node exporter's textfile or a push gateway.",
)


# `--also`, as `also`: forms and where they go.
also_option = click.option(
    "--also",
    multiple=True,
    callback=_also,
    shell_complete=format_and_file(formats.LEAKS),
    metavar="FORMAT[=FILE]",
    help="Write the same count in another format too, to a file or to stdout: --also junit=leaks.xml. May be "
    "repeated.",
)


# `--kinds` as `kinds`, `--fail-on` as `fail_on` and `--max` as `max_rows`.
gate_options = options.all_of(
    click.option(
        "--kinds",
        callback=_kinds,
        shell_complete=comma_list(("all", "default", "none", *gate.ALL_KINDS)),
        default="default",
        metavar="KINDS",
        help="Which leftovers to look for besides rows: a comma list, 'all' or 'none'. Default: "
        f"{', '.join(DEFAULT_KINDS)}. The others, {', '.join(OTHER_KINDS[:-1])} and "
        f"{OTHER_KINDS[-1]}, may be there on purpose. With --since, {', '.join(SINCE_KINDS)} and new large "
        "objects are looked for too. "
        "What --fail fails on is always looked for.",
    ),
    click.option(
        "--fail-on",
        "fail_on",
        callback=_fail_on,
        shell_complete=comma_list(gate.FAIL_ON_WORDS),
        metavar="KINDS",
        help="What --fail fails on, a comma list of rows and kinds of leftovers, or 'all' or 'default'. "
        "With 'unread', exit code 4 if there are columns that aren't searched for markers (XML …). "
        f"Default: {', '.join(DEFAULT_FAIL_ON)}. Implies --fail.",
    ),
    click.option(
        "--max",
        "max_rows",
        type=click.IntRange(min=0),
        metavar="N",
        help="How many leaked rows to tolerate, in all databases together. Default: 0. Implies --fail.",
    ),
)


# `databases`, `servers`, `shard` (`--servers-shard`), `jobs`, `save`, `saved` and `verbose`.
databases_options = options.all_of(
    click.option(
        "--databases",
        callback=options.names,
        metavar="NAMES",
        help="Check the server's databases of these names, instead of that of --dsn: a comma list of names "
        "or globs such as 'test_*'. Templates are never checked. Several share one report.",
    ),
    fleet_options.servers_options,
    fleet_options.jobs_option,
    click.option(
        "--save",
        metavar="NAME",
        help="With --servers: also put the report into the history, as a part of the check of this name: "
        "--servers-shard 2/8 --save nightly-7.",
    ),
    click.option(
        "--saved",
        metavar="NAME",
        help="Check nothing: put together what was saved by this name. Parts that are missing count as not "
        "checked; --servers names those that should be there.",
    ),
    click.option(
        "--verbose",
        "-v",
        is_flag=True,
        help="With several databases: name the clean ones, and tell all of each of the others.",
    ),
)


def gate_of(fail_on: tuple[FindingKind, ...] | None, max_rows: int | None, baseline: Baseline | None) -> Gate:
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


def write(leaks: LeakReport | LeaksOfDatabases, outputs: Sequence[Output], gate: Gate, verbose: bool) -> None:
    """Writes every form to where it goes. Raises ConfigurationError for one that can't be written."""
    for form, output in outputs:
        options.emit(formats.render_leaks(form, leaks, gate, verbose), output, form)
