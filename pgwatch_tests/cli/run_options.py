"""Options of `run`: where results go, what is recorded, what is checked, and what fails it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import options
from pgwatch_tests.cli.completion.values import comma_list
from pgwatch_tests.leaks import gate
from pgwatch_tests.run.checks.fail_on import RUN_WORDS, FailOn, parse
from pgwatch_tests.run.guards import Aloneness, GuardOptions, HangLimit, parse_limit

if TYPE_CHECKING:
    from pgwatch_tests.leaks.baseline.baseline import Baseline

_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SIZE = re.compile(r"(?P<number>[0-9]{1,9}) *(?P<unit>[kMG]?)i?B?", re.IGNORECASE)
_BYTES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SMALLEST = 1024**2
_NOWHERE = Path("/nonexistent")


def _name(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
    if value is not None and not _SHARD.fullmatch(value):
        raise click.BadParameter(f"{value!r} isn't 1 to 64 letters, digits, '.', '_' and '-'")
    return value or ""


FAIL_ON_WORDS = comma_list((*RUN_WORDS, *gate.FAIL_ON_WORDS))
"""The `shell_complete` of `--fail-on`."""


def fail_on(_ctx: click.Context, _param: click.Parameter, value: str | None) -> FailOn:
    """The callback of `--fail-on`; without a value, nothing fails."""
    try:
        return FailOn() if value is None else parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """The callback of an option such as `--max-size 50MB`; its value is bytes."""
    if value is None:
        return None
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} isn't a size such as 50MB")
    number = int(match["number"]) * _BYTES[match["unit"].lower()]
    if number < _SMALLEST:
        raise click.BadParameter("a recording needs at least 1MB")
    return number


# Where the results of a run go: `directory`, `name` and `store`.
place_options = options.all_of(
    click.option(
        "--output",
        "-o",
        "directory",
        type=click.Path(file_okay=False, path_type=Path),
        callback=options.no_stdout,
        default=Path("pgwatch-results"),
        show_default=True,
        metavar="DIR",
        help="Where the results go. Those of an earlier run are replaced.",
    ),
    click.option(
        "--name",
        callback=_name,
        metavar="SHARD",
        help="The name of this shard: its results go into a directory of that name below DIR.",
    ),
    click.option(
        "--store",
        is_flag=True,
        help="Put the run on record, for `pgwatch-tests history` and `report --trend`. Default: only if the "
        "setting history names a place.",
    ),
)


def _every(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    every_s = options.optional_duration(ctx, param, value)
    if every_s is not None and not every_s:
        raise click.BadParameter("must be more than 0")
    return every_s


# What is recorded: `record`, `every_s` and `max_bytes`.
record_options = options.all_of(
    click.option("--no-record", "record", flag_value=False, default=True, help="Record nothing meanwhile."),
    click.option(
        "--every",
        "every_s",
        callback=_every,
        metavar="DURATION",
        help="How often to look at the server. Default: 250ms while anything is going on.",
    ),
    click.option(
        "--max-size",
        "max_bytes",
        callback=size,
        metavar="SIZE",
        help="How large the recording may become, such as 50MB: beyond, samples are thinned, events stay.",
    ),
)


def _hang(_ctx: click.Context, _param: click.Parameter, value: str | None) -> HangLimit | None:
    try:
        return None if value is None else parse_limit(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _source(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
    if value is not None and not value.strip():
        # A variable that isn't set would switch the guard off.
        raise click.BadParameter("names neither a file nor a command")
    return value or ""


_WITHOUT_VALUE = {"--alone": "--alone=refuse", "--lane": "--lane="}


class RunCommand(click.Command):
    """A command whose `--alone` and `--lane` take a value by `=` only: what follows them isn't theirs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click's."""
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*(_WITHOUT_VALUE.get(arg, arg) for arg in args[:end]), *args[end:]])


# Whose the database is, and what is watched over while the command runs.
guard_options = options.all_of(
    click.option(
        "--hang",
        callback=_hang,
        metavar="DURATION[=end]",
        help="Tell the lock tree on stderr as soon as something is blocked for so long (30s), or nobody does "
        "anything. With =end, end the root if it is an idle transaction of this very run.",
    ),
    click.option(
        "--alone",
        type=click.Choice(["refuse", "wait"]),
        metavar="[=wait]",
        help="Begin only if no other run works in the database; with =wait, wait for its end.",
    ),
    click.option(
        "--lane",
        metavar="[=TEMPLATE]",
        help="Give the command a database of its own, a copy of the database or of TEMPLATE, and set "
        "DATABASE_URL, PGWATCH_DSN and PGDATABASE. It is dropped at the end.",
    ),
    click.option("--keep", is_flag=True, help="With --lane: keep the database for a day if the run fails."),
    click.option(
        "--migrations-hash",
        metavar="CMD|FILE",
        callback=_source,
        help="Refuse a database that has the schema of other migrations. They are a file, a directory, or "
        "what a command prints; the first use records their hash with the database.",
    ),
    click.option(
        "--migrated", is_flag=True, help="With --migrations-hash: record it, whatever was recorded before."
    ),
    click.option(
        "--server-log",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The server's log, or its directory: tell deadlocks and lock waits of it by test.",
    ),
)


def guards_of(
    hang: HangLimit | None,
    alone: str | None,
    lane: str | None,
    keep: bool,
    migrations_hash: str,
    migrated: bool,
    server_log: Path | None,
) -> GuardOptions:
    """The guards that the options ask for. Raises click.UsageError for those that make no sense together."""
    if keep and lane is None:
        raise click.UsageError("--keep needs --lane")
    if migrated and not migrations_hash:
        raise click.UsageError("--migrated needs --migrations-hash")
    modes: dict[str | None, Aloneness] = {"refuse": "refuse", "wait": "wait"}
    return GuardOptions(hang, modes.get(alone, ""), lane, keep, migrations_hash, migrated, server_log)


def refuse_contradictions(
    fail_on: FailOn,
    guards: GuardOptions,
    *,
    record: bool,
    every_s: float | None,
    max_bytes: int | None,
    since: Path | None,
) -> None:
    """Raises click.UsageError for options that can't be followed together, before anything begins."""
    if not record:
        for option, is_given in (("--every", every_s is not None), ("--max-size", max_bytes is not None)):
            if is_given:
                raise click.UsageError(f"{option} is about the recording, and --no-record makes none")
        if fail_on.deadlock or fail_on.blocked_s is not None:
            raise click.UsageError(
                "--fail-on blocked and deadlock (all has them as well) need the recording, and --no-record "
                "makes none"
            )
    if fail_on.hang and guards.hang is None:
        raise click.UsageError("--fail-on hang (all has it as well) needs --hang")
    if since is not None and guards.lane is not None:
        raise click.UsageError("--since is a baseline of another database than the lane that --lane makes")


def _globs(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for glob in value:
        if not glob.strip():
            raise click.BadParameter("names no file")
        if os.path.isdir(glob):  # noqa: PTH112  # raises nothing
            raise click.BadParameter(f"{glob} is a directory; the files in it are '{glob.rstrip('/')}/*.xml'")
        try:
            # Nothing is there: it only reads the pattern.
            next(_NOWHERE.glob(glob.lstrip("/")), None)
        except OSError:
            continue  # no such name can be
        except (ValueError, NotImplementedError) as error:
            raise click.BadParameter(f"{glob!r} isn't a pattern: {error}") from None
    return value


def check_test_list(path: Path | None) -> None:
    """Raises ConfigurationError for a list of tests that can't be read; reports may be yet to be written."""
    is_directory = path is not None and os.path.isdir(path)  # noqa: PTH112  # raises nothing
    if path is not None and not is_directory and not set("*?[") & set(str(path)):
        from pgwatch_tests.identity.known_tests import read_test_list

        read_test_list(path)


def baseline_of(path: Path | None) -> Baseline | None:
    """Returns the baseline of `--since`. Raises ConfigurationError for a file that holds none."""
    if path is None:
        return None
    # Only here: --help must not load what reads it.
    from pgwatch_tests.leaks.baseline import baseline_file

    return baseline_file.load(path)


# What is checked after the command, and what fails the run.
check_options = options.all_of(
    click.option(
        "--since",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Compare with this baseline (`pgwatch-tests baseline -o FILE`) instead of the state before the "
        "command.",
    ),
    click.option(
        "--any", "any_rows", is_flag=True, help="Count all new and changed rows, not only marked ones."
    ),
    click.option(
        "--sweep",
        is_flag=True,
        help="After the checks, sweep the database as `pgwatch-tests sweep --yes` does; what this run has "
        "left is never too young.",
    ),
    click.option(
        "--junit",
        multiple=True,
        callback=_globs,
        metavar="GLOB",
        help="JUnit files that the command writes ('reports/*.xml'): outcomes of tests go into the report. "
        "May be repeated.",
    ),
    click.option(
        "--fail-on",
        callback=fail_on,
        shell_complete=FAIL_ON_WORDS,
        metavar="KINDS",
        help="Exit with 1 if the command passed and any of these was seen, with 4 if one of them couldn't be "
        "checked: a comma list of blocked (blocked=2s: for so long; default 1s), deadlock, hang, rows, and "
        "the kinds of `leaks --fail-on`.",
    ),
    click.option(
        "--grace",
        "grace_s",
        default="10s",
        show_default=True,
        callback=options.duration,
        metavar="DURATION",
        help="After a signal, but Ctrl-C in a terminal, have the report written within this time.",
    ),
)
