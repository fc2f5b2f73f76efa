"""`pgwatch-tests baseline`: keeps the state of a database before a suite."""

from __future__ import annotations

from pathlib import Path

import click

from pgwatch_tests.cli import options
from pgwatch_tests.config import Flags


@click.command("baseline", epilog="Example: pgwatch-tests baseline -o baseline.json")
@options.dsn
@options.output_file
def command(dsn: str | None, output: Path | None) -> None:
    """Keep the state of a database before a suite, as JSON, for `pgwatch-tests leaks --since`.

    Which transactions are visible, and for each table what the server's statistics say was written to it
    so far; no table is read. To be taken when nothing of the suite runs yet.
    """
    settings = options.settings(Flags(dsn=dsn))
    # Only here: --help must not load the database driver.
    from pgwatch_tests.leaks import baseline_file
    from pgwatch_tests.leaks.take_baseline import take

    baseline = take(settings)
    if output is None:
        options.emit(baseline_file.document(baseline), None)
    else:
        baseline_file.save(baseline, output)
