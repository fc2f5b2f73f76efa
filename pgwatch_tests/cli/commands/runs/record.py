"""`pgwatch-tests record`: the recorder alone, beside whatever uses the server."""

from __future__ import annotations

from pathlib import Path

import click

from pgwatch_tests.cli import fleet_options, options
from pgwatch_tests.cli.run_options import size
from pgwatch_tests.fleet.shards import Shard
from pgwatch_tests.settings.load import Flags


@click.command("record", epilog="Example: pgwatch-tests record --for 1h --max-size 100MB -o nightly.pgwatch")
@options.dsn
@click.option(
    "--output",
    "-o",
    "place",
    type=click.Path(path_type=Path),
    callback=options.no_stdout,
    required=True,
    metavar="FILE|DIR",
    help="The recording. A file that is there is never overwritten (see --replace); in a directory, each "
    "start makes a file of its own, named by its time.",
)
@click.option("--replace", is_flag=True, help="Replace FILE if it is a recording.")
@click.option(
    "--for",
    "for_s",
    callback=options.optional_duration,
    metavar="DURATION",
    help="How long to record (90s, 1h). Default: until Ctrl-C or SIGTERM.",
)
@click.option(
    "--every",
    "every_s",
    callback=options.optional_duration,
    metavar="DURATION",
    help="How often to look while no session waits. Default: 250ms while sessions are at work, else 1s. "
    "While one waits, it is 250ms at most.",
)
@click.option(
    "--max-size",
    "max_bytes",
    callback=size,
    metavar="SIZE",
    help="How large the recording may become, such as 100MB: beyond, samples are thinned, the oldest first; "
    "waits, deadlocks and tests stay.",
)
@fleet_options.servers_options
@options.tests
@click.pass_context
def command(
    ctx: click.Context,
    dsn: str | None,
    place: Path,
    replace: bool,
    for_s: float | None,
    every_s: float | None,
    max_bytes: int | None,
    servers: tuple[str, ...],
    shard: Shard | None,
    tests: Path | None,
) -> None:
    """Record who waits for whom on a server, to replay it or report on it later.

    For a server that many jobs share; `pgwatch-tests run` records by itself. The server may come later,
    restart and go away: the recording says when it was not there. Ctrl-C or SIGTERM ends it with a whole
    file; after a kill, all but the last 5 seconds can be read.

    With --servers, -o is a directory, and each server has a file of its own in it; one that can't be reached
    doesn't stop the others.

    The file holds names and statements of sessions, without passwords; only its owner may read it.
    """
    if every_s is not None and not every_s:
        raise click.BadParameter("must be more than 0", param_hint="--every")
    settings = options.settings(Flags(dsn=dsn, tests=tests))
    fleet = fleet_options.chosen(settings, servers, (), shard, dsn)
    if fleet is not None and replace:
        raise click.UsageError("--replace is for one file: with --servers, each start makes files of its own")
    # Only here: --help must not load what a recording needs.
    from pgwatch_tests.cli.runs import recording_run

    if fleet is not None:
        ctx.exit(
            recording_run.run_servers(settings, fleet, place, for_s, every_s, max_bytes, str(shard or ""))
        )
    ctx.exit(recording_run.run(settings, place, for_s, every_s, max_bytes, replaces=replace))
