"""`pgwatch-tests junit`: the JUnit files of many shards in one report, and what is missing of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import formats, options
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.errors import EXIT_CODES, ConfigurationError

if TYPE_CHECKING:
    from pgwatch_tests.junit.splitting import SplitRunner


@click.command(
    "junit", epilog="Example: pgwatch-tests junit 'artifacts/*/junit.xml' --shards integration:4,e2e:4 --fail"
)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE|GLOB|DIR...",
    type=options.AnyPath(allow_dash=True),
)
@formats.format_option(
    formats.JUNIT,
    "table: one screen; markdown: for $GITHUB_STEP_SUMMARY; github: annotations; junit: one merged document; "
    "json: the document pgwatch-tests.junit/1, with every test.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path),
    help="Write the merged JUnit document to this file, or with - to stdout, and the table to stderr. With "
    "--format: write that format to it instead.",
)
@click.option(
    "--shards",
    metavar="NAME:N,...",
    help="The shards that have to be there: 'integration:4,e2e:4,unit'. One that is missing is a finding, "
    "and so is a test that ran in two shards of one name.",
)
@click.option(
    "--expect",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many shards have to be there, whatever their names.",
)
@click.option(
    "--results",
    multiple=True,
    metavar="DIR",
    type=options.AnyPath(),
    help="Results directories of `pgwatch-tests run`, or what holds them: exit codes, and what the database "
    "knew of each failure. May be repeated. Default: those beside the files.",
)
@click.option(
    "--fail",
    is_flag=True,
    help="Exit with 1 if a test failed or a shard is missing, was killed or contradicts itself; with 4 if a "
    "file can't be read.",
)
@click.option(
    "--split",
    type=click.IntRange(min=1),
    metavar="N",
    help="Report nothing, but print the test files of one of N shards, by the time that they took before. "
    "FILE is a test file then, or - for a list of them.",
)
@click.option("--shard", type=click.IntRange(min=1), metavar="I", help="With --split: which shard, from 1.")
@click.option(
    "--for",
    "runner",
    type=click.Choice(["vitest", "playwright"]),
    help="With --split: whose arguments to print. vitest: paths; playwright: lines of its --test-list.",
)
@click.option(
    "--history",
    metavar="DIR",
    type=options.AnyPath(),
    help="With --split: JUnit files of earlier runs, the same ones on all shards.",
)
@click.option(
    "--plan",
    metavar="FILE",
    type=options.AnyPath(dir_okay=False),
    callback=options.no_stdout,
    help="With --split: also write what was planned. Beside the shard's JUnit files, as pgwatch-split.json, "
    "it lets the report tell files that ran twice or never.",
)
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[Path, ...],
    form: Format,
    output: Path | None,
    shards: str | None,
    expect: int | None,
    results: tuple[Path, ...],
    fail: bool,
    split: int | None,
    shard: int | None,
    runner: SplitRunner | None,
    history: Path | None,
    plan: Path | None,
) -> None:
    """Report the JUnit files of all shards of a CI run as one, and say which of them can't be believed.

    FILE is a JUnit report of any runner, or - for standard input; of a DIR, it is all reports below. A test
    counts once, however many attempts and failures it has. Shards that were killed, or whose report is
    missing, torn, stale or contradicts their exit code, are findings. Beside each failure stands what the
    database knew of it.
    """
    chosen = ctx.get_parameter_source("form") is click.core.ParameterSource.COMMANDLINE
    if split is not None:
        if shard is None or runner is None or history is None:
            raise click.UsageError("--split needs --shard, --for and --history")
        if chosen or shards or expect or results or fail:
            raise click.UsageError(
                "--split reports nothing: --format, --shards, --expect, --results and --fail are for a report"
            )
        from pgwatch_tests.cli.runs import junit_split

        wanted = junit_split.SplitRequest(files, split, shard, runner, history, plan)
        lines, planned = junit_split.split(wanted)
        options.emit(lines, None if output == options.STDOUT else output)
        if not planned.files:
            raise ConfigurationError(
                f"shard {shard} of {split} has no file: there are fewer files than shards"
            )
        return
    if shard is not None or runner is not None or history is not None or plan is not None:
        raise click.UsageError("--shard, --for, --history and --plan need --split")
    from pgwatch_tests.cli.commands.runs.report import uncollected
    from pgwatch_tests.cli.runs.junit_run import JUnitRequest, summarise
    from pgwatch_tests.junit.shard_names import parse_expected

    file = None if output == options.STDOUT else output
    request = JUnitRequest(files, parse_expected(shards) if shards else (), expect, results, file)
    options.check_output(file)
    with uncollected():
        summary = summarise(request)
        document = formats.render_junit(form, summary)
        merged = formats.render_junit("junit", summary) if output is not None and not chosen else None
    if merged is None:
        options.emit(document, file, form)
    else:
        options.emit(merged, file)
        # stdout may be the merged document.
        click.echo(document, err=file is None)
    if fail:
        ctx.exit(EXIT_CODES[summary.verdict])
