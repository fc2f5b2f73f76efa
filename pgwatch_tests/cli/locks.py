"""`pgwatch-tests locks`: the lock tree, once; with --watch, what a while of it adds up to."""

from __future__ import annotations

from pathlib import Path

import click

from pgwatch_tests.cli import lock_action, options
from pgwatch_tests.config import Flags


@click.command("locks")
@options.dsn
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    show_default=True,
    help="table: the tree as text; json: the document pgwatch-tests.locks/1, with --watch "
    "pgwatch-tests.contention/1; markdown: with --watch only.",
)
@click.option(
    "--watch",
    "watch_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Look for so long, then print who blocked whom, on what and for how long altogether. Ctrl-C "
    "ends it early, with the report of what was seen.",
)
@options.output_file
@lock_action.action_options
@options.read_only
@click.pass_context
def command(
    ctx: click.Context,
    dsn: str | None,
    form: str,
    watch_s: float | None,
    output: Path | None,
    cancel: int | None,
    terminate: int | None,
    rollback_prepared: str | None,
    yes: bool,
    read_only: bool,
) -> None:
    """Print who waits for whom, on what, and what to do; or do it.

    Root blockers come first: who, which test, in which state and since when, how many it blocks. All
    databases of the server are shown. The server is asked twice, 150 ms apart, so that a wait that was
    over at once isn't reported.

    Only the very session that was seen is ever signalled, not a later one with the same pid. Exit codes of
    an action: 0 done, 2 refused or no such session, 3 no connection, 4 told but not seen to have worked.

    \b
    Examples:
      pgwatch-tests locks --dsn postgresql://localhost/test_app --format json
      pgwatch-tests locks --watch 60
      pgwatch-tests locks --terminate 4711 --yes
    """
    if form == "markdown" and watch_s is None:
        raise click.UsageError("--format markdown goes with --watch")
    settings = options.settings(Flags(dsn=dsn, read_only=read_only))
    asked = lock_action.Asked(cancel, terminate, rollback_prepared, yes)
    if asked:
        if form != "table" or output is not None or watch_s is not None:
            raise click.UsageError("--format, --watch and -o don't go with an action, which prints one line")
        ctx.exit(lock_action.run(settings, asked))
    if yes:
        raise click.UsageError("--yes goes with --cancel, --terminate or --rollback-prepared")
    if watch_s is not None:
        from pgwatch_tests.cli import lock_watch

        ctx.exit(lock_watch.run(settings, watch_s, form, output))
    from pgwatch_tests.cli.snapshot import read_locks
    from pgwatch_tests.reports import lock_json, lock_tree

    snapshot = read_locks(settings)
    options.emit(lock_json.document(snapshot) if form == "json" else lock_tree.text(snapshot), output)
