"""`pgwatch-tests locks`: the lock tree, once; over a while; or doing something about it."""

from __future__ import annotations

from pathlib import Path

import click

from pgwatch_tests.cli import accept_options, formats, options
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.cli.runs import lock_action
from pgwatch_tests.errors import EXIT_CODES
from pgwatch_tests.settings.load import Flags


@click.command("locks")
@options.dsn
@formats.format_option(
    formats.LOCKS,
    "table: the tree as text; json: the document pgwatch-tests.locks/1, with --watch "
    "pgwatch-tests.contention/1; csv: a line per edge; markdown: for $GITHUB_STEP_SUMMARY; github: workflow "
    "annotations; junit: a test case per root blocker.",
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
@click.option(
    "--watch",
    "watch_s",
    type=options.Number(min=0, min_open=True),
    metavar="SECONDS",
    help="Watch for so long, then print who blocked whom, on what and for how long in all. Ctrl-C ends it "
    "early, with the report of what was seen.",
)
@options.tests
@options.output_file
@accept_options.accept_options
@lock_action.action_options
@options.read_only
@click.pass_context
def command(
    ctx: click.Context,
    dsn: str | None,
    form: Format,
    fail: bool,
    min_wait_s: float,
    watch_s: float | None,
    tests: Path | None,
    output: Path | None,
    accept: Path | None,
    write_accept: Path | None,
    cancel: tuple[int, ...],
    terminate: tuple[int, ...],
    rollback_prepared: tuple[str, ...],
    yes: bool,
    read_only: bool,
) -> None:
    """Print who waits for whom, on what, and what to do; or do it.

    Root blockers come first: who, which test, in which state and since when, how many it blocks. All
    databases of the server are shown. The server is asked twice, 150 ms apart, so that a wait that was
    over at once isn't reported. Before PostgreSQL 14 the server doesn't tell since when a session waits;
    there, to find out whether a wait lasts --min-wait, it is watched for that long.

    Only the very session that was seen is ever signalled, not a later one with the same pid. Exit codes of
    an action: 0 done, 2 refused or no such session, 3 no connection, 4 signalled but not seen to have
    worked, or the sessions it blocked still wait. Of several, the worst counts: 2, then 4.

    \b
    Examples:
      pgwatch-tests locks --dsn postgresql://localhost/test_app --format json
      pgwatch-tests locks --fail --min-wait 2s --format junit -o locks.xml
      pgwatch-tests locks --watch 60
      pgwatch-tests locks --watch 600 --fail --accept locks.accepted.json
      pgwatch-tests locks --terminate 4711 --terminate 4712 --yes
    """
    asked = lock_action.ActionRequest(cancel, terminate, rollback_prepared, yes)
    if yes and not asked:
        raise click.UsageError("--yes needs --cancel, --terminate or --rollback-prepared")
    if asked and (form != "table" or output is not None or watch_s is not None or fail):
        raise click.UsageError(
            "an action prints one line each: --format, --watch, --fail and -o can't be combined with it"
        )
    if asked and (accept is not None or write_accept is not None):
        raise click.UsageError("--accept and --write-accept can't be combined with an action")
    if watch_s is not None and form not in formats.CONTENTION:
        raise click.UsageError(f"--watch takes the formats {', '.join(formats.CONTENTION)}")
    settings = options.settings(Flags(dsn=dsn, tests=tests, read_only=read_only))
    if asked:
        ctx.exit(lock_action.run(settings, asked))
    if watch_s is not None:
        from pgwatch_tests.cli.runs import lock_watch

        known = accept_options.check(accept, write_accept)
        acceptance = None if known is None else lock_watch.Accepting(known, accept, write_accept)
        ctx.exit(lock_watch.run(settings, watch_s, form, output, min_wait_s, fail, acceptance))
    from pgwatch_tests.cli.runs.snapshot import read_locks

    known = accept_options.check(accept, write_accept)
    with_verdict = fail or known is not None or form in formats.WITH_VERDICT
    snapshot = read_locks(settings, min_wait_s if with_verdict else None)
    if known is not None and write_accept is not None:
        from pgwatch_tests.locks.gate import new_findings

        # A look that sees nothing of an entry is no evidence that it is gone.
        findings = new_findings(snapshot, min_wait_s)
        known = accept_options.write(write_accept, known, "locks", findings, accept, keep=True)
    options.emit(formats.render_locks(form, snapshot, min_wait_s, known), output, form)
    if fail:
        from pgwatch_tests.locks.gate import has_finding

        ctx.exit(EXIT_CODES["findings"] if has_finding(snapshot, min_wait_s, known) else 0)
