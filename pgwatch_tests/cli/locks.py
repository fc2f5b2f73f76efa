"""`pgwatch-tests locks`: the lock tree, once."""

from __future__ import annotations

from pathlib import Path

import click

from pgwatch_tests.cli import options
from pgwatch_tests.cli.lock_formats import FORMATS, WITH_VERDICT, Format, rendered
from pgwatch_tests.config import Flags

FINDINGS = 1


@click.command("locks")
@options.dsn
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="table: the tree as text; json: the document pgwatch-tests.locks/1; csv: a line an edge; "
    "markdown: for $GITHUB_STEP_SUMMARY; github: workflow annotations; junit: a test case a root blocker.",
)
@click.option(
    "--fail",
    is_flag=True,
    help="Exit with 1 if something has been blocked for --min-wait, or a deadlock was seen.",
)
@click.option(
    "--min-wait",
    "min_wait_s",
    callback=options.duration,
    default="1s",
    metavar="DURATION",
    show_default=True,
    help="How long a wait must have lasted to be a finding (500ms, 2s, 2m): for --fail, and for what "
    "markdown, github and junit call one. What is printed doesn't depend on it.",
)
@options.output_file
@click.pass_context
def command(
    ctx: click.Context, dsn: str | None, form: Format, fail: bool, min_wait_s: float, output: Path | None
) -> None:
    """Print who waits for whom, on what, and what to do.

    Root blockers come first: who, which test, in which state and since when, how many it blocks. All
    databases of the server are shown. The server is asked twice, 150 ms apart, so that a wait that was
    over at once isn't reported. Before PostgreSQL 14 the server doesn't tell since when a session waits;
    there, to find out whether a wait lasts --min-wait, it is watched for that long.

    \b
    Examples:
      pgwatch-tests locks --dsn postgresql://localhost/test_app --format json
      pgwatch-tests locks --fail --min-wait 2s --format junit -o locks.xml
    """
    settings = options.settings(Flags(dsn=dsn))
    from pgwatch_tests.cli.snapshot import read_locks

    snapshot = read_locks(settings, min_wait_s if fail or form in WITH_VERDICT else None)
    options.emit(rendered(form, snapshot, min_wait_s), output)
    if fail:
        from pgwatch_tests.locks.gate import has_finding

        ctx.exit(FINDINGS if has_finding(snapshot, min_wait_s) else 0)
