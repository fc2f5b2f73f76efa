"""`pgwatch-tests leaks`: counts the test rows that were left behind, and looks for other leftovers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from pgwatch_tests.accepted_findings import Acceptance
from pgwatch_tests.cli import accept_options, fleet_options, leak_options, options
from pgwatch_tests.cli.commands.hygiene import leak_index
from pgwatch_tests.cli.formats import Format
from pgwatch_tests.cli.leak_options import Output
from pgwatch_tests.cli.runs.progress import Progress
from pgwatch_tests.errors import EXIT_CODES, HistoryError, NotCheckedError
from pgwatch_tests.fleet.servers import Server
from pgwatch_tests.fleet.shards import Shard
from pgwatch_tests.leaks.gate import ALL_KINDS, DEFAULT_KINDS, FindingKind, Gate, verdict
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases, LeftoverKind
from pgwatch_tests.settings.load import Flags, Settings

if TYPE_CHECKING:
    from pgwatch_tests.leaks.baseline.comparison import Since


@click.group(
    "leaks",
    invoke_without_command=True,
    subcommand_metavar="[index ...]",
    epilog="Example: pgwatch-tests leaks --fail --marker '%@test.example.com'",
)
@options.dsn
@options.marker
@options.inside
@options.ignore
@options.transactions
@options.tests
@click.option(
    "--since",
    "baseline",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Count only rows that are new or changed since `pgwatch-tests baseline -o FILE`.",
)
@click.option(
    "--any", "any_rows", is_flag=True, help="With --since: count all such rows, not only marked ones."
)
@click.option(
    "--settle",
    "settle_s",
    default="0s",
    show_default=True,
    callback=options.duration,
    metavar="DURATION",
    help="With --since: how long to wait for sessions to end or to be idle for 11 s: then tables are left "
    "out that the server's statistics prove untouched (PostgreSQL 15 or newer).",
)
@click.option(
    "--fail",
    is_flag=True,
    help="Exit with 1 if there are leaked rows or other leftovers (see --fail-on), with 4 if some of that "
    "couldn't be checked.",
)
@leak_options.gate_options
@leak_options.databases_options
@leak_options.format_option
@options.output_file
@leak_options.also_option
@accept_options.accept_options
@click.pass_context
def command(
    ctx: click.Context,
    dsn: str | None,
    markers: tuple[str, ...],
    inside: bool,
    ignore: tuple[str, ...],
    transactions: Path | None,
    tests: Path | None,
    baseline: Path | None,
    any_rows: bool,
    settle_s: float,
    fail: bool,
    kinds: tuple[LeftoverKind, ...],
    fail_on: tuple[FindingKind, ...] | None,
    max_rows: int | None,
    databases: tuple[str, ...],
    servers: tuple[str, ...],
    shard: Shard | None,
    jobs: int | None,
    save: str | None,
    saved: str | None,
    verbose: bool,
    form: Format,
    output: Path | None,
    also: tuple[Output, ...],
    accept: Path | None,
    write_accept: Path | None,
) -> None:
    """Count the test rows left behind in all tables of a database, and look for other leftovers.

    A row is leaked if a string in it bears a marker: an address at test.example.com, or an id like
    user_1717171717171_a1b2c3, unless --marker or pyproject.toml says otherwise. Strings in arrays,
    composites, ranges, JSON and hstore count too. Besides rows, schemas, sessions, prepared transactions and
    the like are looked for (--kinds). What couldn't be checked is listed with the reason.
    """
    if ctx.invoked_subcommand is not None:
        if any(ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in ctx.params):
            raise click.UsageError(f"put the options behind {ctx.invoked_subcommand!r}")
        return
    if baseline is None and (any_rows or settle_s):
        raise click.UsageError("--any and --settle need --since FILE")
    if baseline is not None and (databases or servers):
        which = "--databases" if databases else "--servers"
        raise click.UsageError(f"--since and {which} can't be combined: a baseline is of one database")
    settings = options.settings(
        Flags(dsn=dsn, markers=markers, inside=inside, ignore=ignore, transactions=transactions, tests=tests)
    )
    since = None if baseline is None else _since(baseline, any_rows, settle_s)
    before = None if since is None else since.baseline
    gate = leak_options.gate_of(fail_on, max_rows, before)
    demanded = _by_name(kinds, fail_on)
    kinds = leak_options.to_look_for(kinds, before)
    outputs = ((form, output), *also)
    for _, file in outputs:
        options.check_output(file)
    known = accept_options.check(accept, write_accept)
    fail = fail or fail_on is not None or max_rows is not None
    wanted = (*kinds, *gate.kinds) if fail else kinds
    if saved is not None and (databases or shard or save or dsn or baseline):
        raise click.UsageError(
            "--saved can't be combined with --dsn, --databases, --since, --save and shards"
        )
    if save is not None and not servers:
        raise click.UsageError("--save needs --servers")
    fleet = fleet_options.chosen(settings, servers, databases, shard, dsn)
    at_once = fleet_options.at_once(jobs, fleet)
    leaks: LeakReport | LeaksOfDatabases
    if saved is not None:
        leaks = _put_together(settings, saved, fleet)
    elif fleet is not None:
        leaks = replace(_scan_servers(settings, fleet, wanted, at_once), shard=str(shard or ""))
    elif databases:
        leaks = _scan_many(settings, databases, wanted, at_once)
    else:
        leaks = _scan(settings, wanted, demanded, since)
    if known is not None:
        leaks = _without_accepted(leaks, known, accept, write_accept)
    leak_options.write(leaks, outputs, gate, verbose)
    exit_code = _exit_code(leaks, gate) if fail else 0
    if isinstance(leaks, LeaksOfDatabases) and leaks.servers and not leaks.databases:
        exit_code = fleet_options.exit_code_of_none(one.exit_code for one in leaks.not_checked)
    if save is not None and isinstance(leaks, LeaksOfDatabases):
        not_saved = _save(settings, save, leaks)
        exit_code = exit_code if exit_code == EXIT_CODES["findings"] else not_saved or exit_code
    ctx.exit(exit_code)


def _exit_code(leaks: LeakReport | LeaksOfDatabases, gate: Gate) -> int:
    reports, reached = ((leaks,), True) if isinstance(leaks, LeakReport) else _of_many(leaks)
    return EXIT_CODES[verdict(gate, reports, reached)]


def _save(settings: Settings, name: str, part: LeaksOfDatabases) -> int:
    """Puts the part into the history. Returns 0, or the exit code of what kept it from that."""
    from pgwatch_tests.history.fleet_checks import FleetChecks

    try:
        FleetChecks.open(settings).add(name, part)
    except HistoryError as error:
        options.narrate(f"not saved: {error}")
        return error.exit_code
    return 0


def _put_together(settings: Settings, name: str, fleet: Sequence[Server] | None) -> LeaksOfDatabases:
    from pgwatch_tests.history.fleet_checks import FleetChecks
    from pgwatch_tests.leaks.fleet_parts import put_together

    checks = FleetChecks.open(settings)
    parts = checks.parts(name)
    if not parts:
        raise NotCheckedError(f"no part of {name!r} is in {checks.name}")
    return put_together(parts, [one.name for one in fleet or ()])


def _by_name(
    kinds: tuple[LeftoverKind, ...], fail_on: tuple[FindingKind, ...] | None
) -> tuple[LeftoverKind, ...]:
    """The leftovers that were asked for by their names, not by `all` or by default."""
    named = () if kinds in (ALL_KINDS, DEFAULT_KINDS) else kinds
    failing = fail_on if fail_on and not {*ALL_KINDS} <= {*fail_on} else ()
    return (*named, *(kind for kind in failing if kind != "rows" and kind != "unread"))


def _since(baseline: Path, any_rows: bool, settle_s: float) -> Since:
    # Only here: --help must not load the database driver.
    from pgwatch_tests.leaks.baseline import baseline_file
    from pgwatch_tests.leaks.baseline.comparison import Since

    return Since(baseline_file.load(baseline), any_rows, settle_s)


def _scan(
    settings: Settings,
    kinds: tuple[LeftoverKind, ...],
    demanded: tuple[LeftoverKind, ...],
    since: Since | None,
) -> LeakReport:
    from pgwatch_tests.leaks.scan import LeakScan

    progress = Progress("counting in tables", _progress_line, lambda: scan.share_done)
    scan = LeakScan(settings, progress.show, kinds, since, demanded)
    with progress:
        return scan.run()


def _scan_many(
    settings: Settings, databases: tuple[str, ...], kinds: tuple[LeftoverKind, ...], jobs: int
) -> LeaksOfDatabases:
    from pgwatch_tests.leaks.many_databases import scan_databases

    with Progress("checking databases", _databases_progress_line) as progress:
        return scan_databases(settings, databases, kinds, jobs, progress.show)


def _scan_servers(
    settings: Settings, servers: Sequence[Server], kinds: tuple[LeftoverKind, ...], at_once: int
) -> LeaksOfDatabases:
    from pgwatch_tests.leaks.many_databases import scan_servers

    with Progress("checking databases", _databases_progress_line) as progress:
        return scan_servers(settings, servers, kinds, at_once, progress.show)


def _without_accepted(
    leaks: LeakReport | LeaksOfDatabases, known: Acceptance, accept: Path | None, write_accept: Path | None
) -> LeakReport | LeaksOfDatabases:
    from pgwatch_tests.leaks.accepted_leaks import findings, without_accepted

    reports, _ = ((leaks,), True) if isinstance(leaks, LeakReport) else _of_many(leaks)
    if write_accept is not None:
        known = accept_options.write(write_accept, known, "leaks", findings(reports), accept)
    judged = without_accepted(reports, known)
    return judged[0] if isinstance(leaks, LeakReport) else replace(leaks, databases=tuple(judged))


def _of_many(leaks: LeaksOfDatabases) -> tuple[tuple[LeakReport, ...], bool]:
    return leaks.databases, not leaks.not_checked


def _progress_line(done: int, total: int) -> str:
    return f"counted in {done:,} of {total:,} tables"


def _databases_progress_line(done: int, total: int) -> str:
    return f"checked {done:,} of {total:,} databases"


command.add_command(leak_index.command)
