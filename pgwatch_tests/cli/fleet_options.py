"""Options of commands that take servers of a fleet: which ones, which part of them, and how many at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from pgwatch_tests.cli import options
from pgwatch_tests.fleet.servers import Server, choose_servers
from pgwatch_tests.fleet.shards import Shard, parse_shard
from pgwatch_tests.settings.load import Settings

_AT_ONCE, MOST_AT_ONCE = 4, 16


def _shard(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Shard | None:
    try:
        return None if value is None else parse_shard(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


# `--servers-shard` as `shard`.
shard_option = click.option(
    "--servers-shard",
    "shard",
    callback=_shard,
    metavar="I/N",
    help="With --servers: only part I of N, for N machines. A server stays in its part when others come "
    "or go.",
)
# `--servers` as `servers` and `--servers-shard` as `shard`.
servers_options = options.all_of(
    click.option(
        "--servers",
        callback=options.server_names,
        metavar="NAMES",
        help="Servers instead of --dsn, all in one report: a comma list of names or globs such as 'ci-*', of "
        "[tool.pgwatch-tests.servers] or of libpq's service file.",
    ),
    shard_option,
)
# `--jobs` as `jobs`.
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    metavar="N",
    help="How many databases to check at once, each over a connection of its own, on all servers together. "
    f"Default: {_AT_ONCE}; with --servers one per server, from {_AT_ONCE} to {MOST_AT_ONCE}.",
)


def chosen(
    settings: Settings,
    servers: Sequence[str],
    databases: Sequence[str],
    shard: Shard | None,
    dsn: str | None,
) -> tuple[Server, ...] | None:
    """The servers that the options name, None without `--servers`.

    Raises click.UsageError for what doesn't go together, ConfigurationError for a name of none.
    """
    if not servers:
        if shard is not None:
            raise click.UsageError("--servers-shard needs --servers")
        return None
    if dsn is not None:
        raise click.UsageError("--dsn and --servers can't be combined")
    return choose_servers(settings, servers, databases, shard)


def at_once(jobs: int | None, servers: Sequence[Server] | None) -> int:
    """How many connections to open at once."""
    if jobs is not None:
        return jobs
    return min(MOST_AT_ONCE, max(_AT_ONCE, len(servers or ())))


def exit_code_of_none(exit_codes: Iterable[int]) -> int:
    """The exit code if nothing of a fleet could be checked or swept; the reasons are in the report.

    3 if no server could be reached; 2 if a guard, or the settings, had a part in it.
    """
    return min(exit_codes, default=0)
