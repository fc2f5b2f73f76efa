"""`pgwatch-tests sweep`: removes test data that was left behind, or says what it would remove."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import options, sweep_formats
from pgwatch_tests.cli.sweep_formats import Format
from pgwatch_tests.config import Flags, Settings
from pgwatch_tests.errors import ConnectionLostError, RefusedError
from pgwatch_tests.sweep.gate import verdict
from pgwatch_tests.sweep.model import SweepKind, SweepReport, SweepRequest, SweepsOfDatabases

if TYPE_CHECKING:
    from pgwatch_tests.cli.gentle_end import GentleEnd, Work

FINDINGS = 1
INCOMPLETE = 4
INTERRUPTED = 130


@click.command(
    "sweep", epilog="Example: pgwatch-tests sweep, and once that looks right: pgwatch-tests sweep --yes"
)
@options.dsn
@click.option("--yes", is_flag=True, help="Do it. Without this, nothing is changed.")
@sweep_formats.what_options
@options.marker
@options.inside
@options.ignore
@sweep_formats.databases_option
@sweep_formats.how_options
@click.option(
    "--fail",
    is_flag=True,
    help="Exit with 1 if something stays that no later sweep takes by itself, with 4 if something couldn't "
    "be checked.",
)
@options.read_only
@sweep_formats.format_option
@options.output_file
@click.pass_context
def command(
    ctx: click.Context,
    dsn: str | None,
    yes: bool,
    min_age_s: float | None,
    max_rows: int | None,
    run: str | None,
    test: str | None,
    kinds: tuple[SweepKind, ...],
    markers: tuple[str, ...],
    inside: bool,
    ignore: tuple[str, ...],
    databases: tuple[str, ...],
    patience_s: float,
    temp_index: bool,
    batch: int,
    fail: bool,
    read_only: bool,
    form: Format,
    output: Path | None,
) -> None:
    """Remove the test data that was left behind, in foreign-key order: rows that bear a marker, what depends
    on them, and the schemas, databases and prepared transactions of tests that are over.

    Nothing is changed without --yes. Databases that don't look like those of tests are refused; what is
    young, in use, or would take real data with it stays, and the report says why. Ctrl-C ends the sweep
    after the batch that it is at.
    """
    settings = options.settings(
        Flags(dsn=dsn, markers=markers, inside=inside, ignore=ignore, read_only=read_only)
    )
    if yes and settings.read_only:
        raise RefusedError("nothing is swept: read_only is set; without --yes it's a dry run")
    request = SweepRequest(
        kinds=kinds,
        dry_run=not yes,
        min_age_s=settings.min_age_s if min_age_s is None else min_age_s,
        max_rows=max_rows,
        run=run,
        test=test,
        clusters_at_once=batch,
        patience_s=patience_s,
        temp_index=temp_index,
    )
    outcome, told = swept(settings, request, databases)
