"""`pgwatch-tests baseline`: keeps the state of a database before a suite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import options
from pgwatch_tests.cli.runs.progress import Progress
from pgwatch_tests.settings.load import Flags

if TYPE_CHECKING:
    from pgwatch_tests.leaks.baseline.baseline import Baseline

_MOST_NAMED = 10


@click.command("baseline", epilog="Example: pgwatch-tests baseline --content -o baseline.json")
@options.dsn
@click.option(
    "--content",
    is_flag=True,
    help="Read all tables, and keep hashes of their rows, so that `leaks --since` can tell which are gone or "
    "changed. What --ignore and the setting ignore name is left out.",
)
@options.ignore
@options.output_file
def command(dsn: str | None, content: bool, ignore: tuple[str, ...], output: Path | None) -> None:
    """Save the state of a database before a suite, as JSON, for `pgwatch-tests leaks --since`.

    It has the transactions that are visible, what the server's statistics say was written to each table so
    far, and the objects and sequences there are. Tables are read with --content only. Take it while
    nothing of the suite runs yet.
    """
    settings = options.settings(Flags(dsn=dsn, ignore=ignore))
    # Only here: --help must not load the database driver.
    from pgwatch_tests.leaks.baseline import baseline_file
    from pgwatch_tests.leaks.baseline.baseline_reader import take
    from pgwatch_tests.reports import giving_way

    with Progress("hashing tables", _progress_line) as progress:
        baseline = take(settings, content=content, progress=progress.show)
    if output is None:
        options.emit(baseline_file.document(baseline), None)
    else:
        baseline_file.save(baseline, output)
    for line in giving_way.lines(baseline.away_s):
        options.narrate(line)
    _name_unread(baseline)


def _progress_line(done: int, total: int) -> str:
    return f"hashed {done:,} of {total:,} tables"


def _name_unread(baseline: Baseline) -> None:
    from pgwatch_tests.text.plain_text import plain

    unread = [one for one in baseline.content or () if one.unread]
    for one in unread[:_MOST_NAMED]:
        click.echo(f"no content kept of {plain(one.name)}: {plain(one.unread)}", err=True)
    if len(unread) > _MOST_NAMED:
        click.echo(f"… and of {len(unread) - _MOST_NAMED:,} more tables", err=True)
