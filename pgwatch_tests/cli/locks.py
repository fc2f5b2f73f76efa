"""`pgwatch-tests locks`: the lock tree, once."""

from __future__ import annotations

from pathlib import Path

import click

from pgwatch_tests.cli import options
from pgwatch_tests.config import Flags


@click.command("locks")
@options.dsn
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="table: the tree as text; json: the document pgwatch-tests.locks/1.",
)
@options.output_file
def command(dsn: str | None, form: str, output: Path | None) -> None:
    """Print who waits for whom, on what, and what to do.

    Root blockers come first: who, which test, in which state and since when, how many it blocks. All
    databases of the server are shown. The server is asked twice, 150 ms apart, so that a wait that was
    over at once isn't reported.

    \b
    Example:
      pgwatch-tests locks --dsn postgresql://localhost/test_app --format json
    """
    settings = options.settings(Flags(dsn=dsn))
    from pgwatch_tests.cli.snapshot import read_locks
    from pgwatch_tests.reports import lock_json, lock_tree

    snapshot = read_locks(settings)
    options.emit(lock_json.document(snapshot) if form == "json" else lock_tree.text(snapshot), output)
