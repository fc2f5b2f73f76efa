"""`pgwatch-tests doctor`: what works with this role on this server."""

from __future__ import annotations

from pathlib import Path

import click

from pgwatch_tests.cli import formats, options
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.errors import EXIT_CODES
from pgwatch_tests.settings.load import Flags


@click.command("doctor")
@options.dsn
@click.option(
    "--fail",
    is_flag=True,
    help="Exit with 1 if something doesn't work, with 4 if something couldn't be checked.",
)
@formats.format_option(formats.TEXT_OR_JSON, "table: text; json: the document pgwatch-tests.doctor/1.")
@options.output_file
@click.pass_context
def command(ctx: click.Context, dsn: str | None, fail: bool, form: Format, output: Path | None) -> None:
    """Say what works with this role on this server, and print the GRANTs for the rest.

    Reads only. Settings of the server that would help are named with the statement that sets them, and
    the server's clock is compared with this machine's. --fail fails on neither, nor on what works
    partly.

    \b
    Example:
      pgwatch-tests doctor --dsn postgresql://ci@db.example/test_app --fail
    """
    settings = options.settings(Flags(dsn=dsn))
    # Only here: --help must not load the database driver.
    from pgwatch_tests.doctor.examination import examine

    examination = examine(settings)
    options.emit(formats.render_examination(form, examination), output)
    if fail:
        ctx.exit(
            EXIT_CODES[
                "findings" if not examination.works else "clean" if examination.complete else "incomplete"
            ]
        )
