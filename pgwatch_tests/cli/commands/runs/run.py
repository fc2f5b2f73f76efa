"""`pgwatch-tests run`: a command with a recorder beside it, and checks of the database after it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import click

from pgwatch_tests.cli import options, run_options
from pgwatch_tests.cli.completion.values import command_line
from pgwatch_tests.run.checks.fail_on import FailOn
from pgwatch_tests.run.guards import HangLimit
from pgwatch_tests.settings.load import Flags


@click.command(
    "run",
    cls=run_options.RunCommand,
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    epilog="Example: pgwatch-tests run --fail-on deadlock,rows -- pytest -n 4",
)
@options.dsn
@options.marker
@options.inside
@options.ignore
@options.tests
@run_options.place_options
@run_options.record_options
@run_options.guard_options
@run_options.check_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, shell_complete=command_line)
@click.pass_context
def command(
    ctx: click.Context,
    command: tuple[str, ...],
    dsn: str | None,
    markers: tuple[str, ...],
    inside: bool,
    ignore: tuple[str, ...],
    tests: Path | None,
    directory: Path,
    name: str,
    store: bool,
    record: bool,
    every_s: float | None,
    max_bytes: int | None,
    hang: HangLimit | None,
    alone: str | None,
    lane: str | None,
    keep: bool,
    migrations_hash: str,
    migrated: bool,
    server_log: Path | None,
    since: Path | None,
    any_rows: bool,
    sweep: bool,
    junit: tuple[str, ...],
    fail_on: FailOn,
    grace_s: float,
) -> None:
    """Run a test suite and tell afterwards who blocked whom, what it left, and where it hung.

    COMMAND runs as it would without this: terminal, colours, Ctrl-C, exit code. Beside it, the server is
    recorded; after it, what it left is looked for. The exit code is COMMAND's: 128 + n after signal n, 126 or
    127 if it can't be started. Only if that is 0, --fail-on makes it 1 or 4.
    """
    guards = run_options.guards_of(hang, alone, lane, keep, migrations_hash, migrated, server_log)
    run_options.refuse_contradictions(
        fail_on, guards, record=record, every_s=every_s, max_bytes=max_bytes, since=since
    )
    # What can be known to fail is told before the command, not after an hour of it.
    run_options.check_test_list(tests)
    baseline = run_options.baseline_of(since)
    # Only here: --help must not load what a run needs.
    from pgwatch_tests.run.request import RunRequest
    from pgwatch_tests.run.session import run

    request = RunRequest(
        command,
        Flags(dsn=dsn, markers=markers, inside=inside, ignore=ignore, tests=tests),
        directory=directory,
        name=name,
        since=baseline,
        any_rows=any_rows,
        fail_on=fail_on,
        grace_s=grace_s,
        every_s=every_s,
        record=record,
        max_bytes=max_bytes,
        sweep=sweep,
        junit=junit,
        store=store,
        guards=guards,
    )
    outcome = run(request, options.narrate)
    if outcome.interrupted:
        # A shell ends its loop or script only if Ctrl-C has ended what it waited for (its exit code is 130).
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    ctx.exit(outcome.exit_code)
