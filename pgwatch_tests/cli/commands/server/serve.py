"""`pgwatch-tests serve`: the dashboard for one's own browser, here or at the end of an SSH tunnel."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import options
from pgwatch_tests.cli.options import narrate
from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.text.plain_text import plain

if TYPE_CHECKING:
    from pgwatch_tests.settings.load import Settings


@click.command("serve")
@options.dsn
@click.option(
    "--listen",
    default="127.0.0.1:8080",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to listen, on this machine alone. Port 0 stands for any that is free.",
)
@click.option(
    "--replay",
    "recordings",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE",
    help="Show a recording, or a directory of results, instead of a live server. May be repeated.",
)
@click.option("--refresh", type=float, metavar="SECONDS", help="How often to poll while nothing is blocked.")
@options.tests
@click.option(
    "--allow-actions",
    is_flag=True,
    help="Let the dashboard cancel and end sessions, and sweep. Without it, it only looks.",
)
@click.option(
    "--tabs",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    metavar="N",
    help="How many tabs may be open at once: each has a process, and connections to the server.",
)
def command(
    dsn: str | None,
    listen: str,
    recordings: tuple[Path, ...],
    refresh: float | None,
    tests: Path | None,
    allow_actions: bool,
    tabs: int,
) -> None:
    """Show the dashboard in a browser, on this machine or through an SSH tunnel.

    Prints a link that only you have, on stdout; Ctrl-C ends it. It listens on this machine alone. From
    another, open a tunnel first, then the same link there: ssh -L 8080:127.0.0.1:8080 HOST. A lost
    connection comes back by itself. Needs the extra serve: pip install 'pgwatch-tests[serve]'.
    """
    from pgwatch_tests.settings.load import Flags
    from pgwatch_tests.web import listen_address
    from pgwatch_tests.web.admission import TOKEN_VARIABLE, token

    address = listen_address.parse(listen)
    if recordings and (dsn is not None or refresh is not None or allow_actions):
        raise click.UsageError("--replay shows no live server: leave out --dsn, --refresh, --allow-actions")
    settings = options.settings(Flags(dsn=dsn, refresh_s=refresh, tests=tests, read_only=not allow_actions))
    environment = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    if dsn is not None:
        # Never as an argument: all accounts of the machine can read those.
        environment["PGWATCH_DSN"] = dsn
    if recordings:
        arguments, title = _replay(recordings, tests), recordings[0].name
    else:
        arguments, title = _dashboard(settings, refresh, tests), _title(settings)
    try:
        from pgwatch_tests.web.program import Program
        from pgwatch_tests.web.server import Offer, serve
    except ModuleNotFoundError as error:
        raise ConfigurationError("serve needs the extra serve: pip install 'pgwatch-tests[serve]'") from error

    def ready(link: str) -> None:
        if not recordings:
            narrate("read-only" if settings.read_only else "sessions can be cancelled and ended, rows swept")
        narrate(f"from another machine: {listen_address.parse(link.split('/')[2]).tunnel}; Ctrl-C ends it")
        click.echo(link)
        sys.stdout.flush()

    program = Program([sys.executable, "-P", "-m", "pgwatch_tests", *arguments], environment)
    serve(Offer(program, f"{title} · pgwatch-tests", token(), tabs), address, ready, narrate)


def _dashboard(settings: Settings, refresh: float | None, tests: Path | None) -> list[str]:
    """The arguments of a dashboard on the live server."""
    return [
        "dashboard",
        *(["--read-only"] if settings.read_only else []),
        *([f"--refresh={refresh}"] if refresh is not None else []),
        *_tests(tests),
    ]


def _replay(recordings: Sequence[Path], tests: Path | None) -> list[str]:
    """The arguments of a dashboard on recordings. Raises RecordingError, ConfigurationError."""
    from pgwatch_tests.record import run_files
    from pgwatch_tests.record.replay.source import opened

    with opened(run_files.recordings(recordings)):
        return ["replay", *_tests(tests), "--", *map(str, recordings)]


def _tests(tests: Path | None) -> list[str]:
    return [f"--tests={tests}"] if tests is not None else []


def _title(settings: Settings) -> str:
    """What tells one browser tab from another: the database, its server, whether it can be acted on."""
    from pgwatch_tests.postgres.connections.dsn import address, database_name

    place = f"{database_name(settings.dsn) or 'PostgreSQL'} on {address(settings.dsn)}"
    return plain(f"{place}, read-only" if settings.read_only else place)
