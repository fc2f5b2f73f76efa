"""Options that several commands share, and where their output goes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from secrets import token_hex
from stat import S_IMODE, S_ISREG
from typing import TypeVar

import click

from pgwatch_tests.cli.formats import Format
from pgwatch_tests.errors import ConfigurationError, RefusedError
from pgwatch_tests.settings import jobs, load
from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.settings.load import Flags, Settings
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

F = TypeVar("F", bound=Callable[..., object])


def all_of(*choices: Callable[[F], F]) -> Callable[[F], F]:
    """One decorator for several options, which `--help` lists in this order."""

    def decorate(function: F) -> F:
        for choice in reversed(choices):
            function = choice(function)
        return function

    return decorate


class AnyPath(click.Path):
    """A path that a file may have: click's own asks the system only for those that have to be there."""

    name = "path"

    def __init__(self, *, dir_okay: bool = True, allow_dash: bool = False) -> None:
        super().__init__(dir_okay=dir_okay, readable=False, allow_dash=allow_dash, path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Returns the path. Fails for one that is longer than any file's."""
        try:
            os.lstat(value)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                self.fail(f"{plain(os.fspath(value))[:40]}…: {error.strerror}", param, ctx)
        return super().convert(value, param, ctx)


STDOUT = Path("-")
"""What `-o` calls stdout."""


def to_file(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    """The callback of `-o FILE`; None is stdout, which `-` is too."""
    return None if value == STDOUT else value


def no_stdout(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    """The callback of an option that writes what can't go to stdout."""
    if value == STDOUT:
        raise click.BadParameter("this can't go to stdout: name a file or directory")
    return value


def no_empty_dsn(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """The callback of `--dsn`: an empty one is a variable that isn't set, and must lead nowhere else."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty: name a server, or leave it out")
    return value


dsn = click.option(
    "--dsn",
    "-d",
    metavar="DSN",
    callback=no_empty_dsn,
    help="Where to connect. Default: PGWATCH_DSN, DATABASE_URL, pyproject.toml, libpq's environment.",
)
marker = click.option(
    "--marker",
    "markers",
    multiple=True,
    metavar="PATTERN",
    help="What test data looks like, instead of the configured markers: a LIKE pattern (the case of "
    "letters is ignored; % and _ have LIKE's meaning, so an underscore is written \\_), or 're:' and a "
    "PostgreSQL regular expression. May be repeated.",
)
inside = click.option(
    "--inside",
    is_flag=True,
    help="Find markers in words and addresses inside longer text too: 'contact: x@test.example.com, y'.",
)
tests = click.option(
    "--tests",
    type=click.Path(path_type=Path),
    metavar="FILE|GLOB|DIR",
    help="Test ids, one per line, as `pytest --collect-only -q` prints them, or JUnit reports of any runner: "
    "the names of tests that a session's name, or a value, has only the hash of. Default: PGWATCH_TESTS, "
    "pyproject.toml.",
)
transactions = click.option(
    "--transactions",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Tell which test left each row, from the transaction logs in this directory and the hashes of "
    "their tests. Default: PGWATCH_TRANSACTIONS, pyproject.toml; for leaks, else pgwatch-results/logs.",
)
ignore = click.option(
    "--ignore",
    "ignore",
    multiple=True,
    metavar="SCHEMA[.TABLE[.COLUMN]]",
    help="Leave out what has this name, besides what the settings ignore. * matches anything; quote as "
    'in SQL (public."Users".notes). Partitions have the name of their root. May be repeated.',
)
output_file = click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path),
    callback=to_file,
    help="Write to a file instead of stdout.",
)
read_only = click.option(
    "--read-only",
    is_flag=True,
    help="Only look: cancel and end no session, roll nothing back, sweep nothing.",
)


def duration(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    """The callback of an option such as `--min-wait 500ms`; its value is float seconds."""
    try:
        return durations.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def optional_duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """The same for an option that has no default of its own."""
    return None if value is None else duration(ctx, param, value)


def names(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """The callback of an option that is a comma list of databases; empty if it isn't there."""
    if value is None:
        return ()
    databases = tuple(filter(None, (part.strip() for part in value.split(","))))
    if not databases:
        raise click.BadParameter("names no database")
    return databases


def server_names(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """The callback of an option that is a comma list of servers; empty if it isn't there."""
    if value is None:
        return ()
    servers = tuple(filter(None, (part.strip() for part in value.split(","))))
    if not servers:
        raise click.BadParameter("names no server")
    return servers


def settings(flags: Flags) -> Settings:
    """The resolved settings; what was left out of the connection string is told on stderr."""
    resolved = load.load(flags)
    # Only here: config itself doesn't know libpq, and --help must not load it.
    from pgwatch_tests.postgres.connections.dsn import normalise

    _, ignored = normalise(resolved.dsn)
    if ignored:
        # Behind `password=`, a name may be a part of one with an `&` in it.
        names = ", ".join(sorted(ignored))
        if "password=" in resolved.dsn.value:
            names = plural(len(ignored), "parameter")
        narrate(f"{resolved.dsn.source}: ignored parameters that libpq doesn't know: {names}")
    return resolved


class Number(click.FloatRange):
    """A number within limits; neither `nan`, which no limit keeps out, nor `inf`."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Raises click.BadParameter."""
        number = float(super().convert(value, param, ctx))
        if not isfinite(number):
            self.fail(f"{value!r} isn't a number.", param, ctx)
        return number


def narrate(line: str) -> None:
    """One line for the person at the terminal: stderr, since stdout is data."""
    # Not click's echo: it writes past the bar that is drawn, which has to be moved below the line.
    print(f"pgwatch-tests: {plain(line)}", file=sys.stderr)


def check_may_ask(yes: bool) -> None:
    """Raises RefusedError if there is a question to ask, and no terminal to ask it on."""
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError("no terminal to ask for confirmation: add --yes")


def confirm(question: str) -> None:
    """Asks a question on stderr. Raises RefusedError unless the answer is yes."""
    if not click.confirm(plain(question).removesuffix("?"), err=True):
        raise RefusedError("not confirmed: nothing was done")


def check_output(output: Path | None) -> None:
    """Raises ConfigurationError if `emit` couldn't make that file: for who changes something before it."""
    try:
        if output is None or output.exists():  # what exists, click has looked at
            return
    except OSError as error:
        raise ConfigurationError(f"cannot write {output}: {error.strerror}") from error
    if not output.parent.is_dir():
        raise ConfigurationError(f"cannot write {output}: {os.strerror(errno.ENOENT)}")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise ConfigurationError(f"cannot write {output}: {os.strerror(errno.EACCES)}")


def emit(text: str, output: Path | None, form: Format | None = None) -> None:
    """Writes a document to stdout, or to the file of `-o`. Raises ConfigurationError if it can't.

    Nothing in it is a command to the CI whose log stdout is, unless its format is `github`.

    Whoever reads the file meanwhile (a node exporter, a CI) gets the old one or the new one, never a part.
    """
    document = text if text.endswith("\n") else f"{text}\n"
    try:
        if output is None and form == "github":
            sys.stdout.flush()
            sys.stdout.buffer.write(document.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
            sys.stdout.buffer.flush()
        elif output is None:
            click.echo(document, nl=False)
        else:
            _replace(output, document.encode())
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigurationError(f"cannot write {output or 'to stdout'}: {error.strerror}") from error


def _replace(output: Path, content: bytes) -> None:
    """Puts a new file in the place of the old one, with its mode; what is no plain file is written to."""
    try:
        mode = output.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not S_ISREG(mode):
        output.write_bytes(content)
        return
    target = output.resolve()  # a link stays one
    # Its end is one that no node exporter takes for a file of metrics.
    part = target.with_name(f".{target.name[:100]}.{os.getpid()}.{token_hex(4)}.tmp")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError:
        # The file may be written where the directory may not.
        output.write_bytes(content)
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, S_IMODE(mode))
            file.write(content)
        try:
            part.replace(target)
        except PermissionError:  # in a sticky directory, another's file
            output.write_bytes(content)
    finally:
        part.unlink(missing_ok=True)


def sweep_kinds(value: str) -> tuple[SweepKind, ...]:
    """The kinds in a comma list of words. Raises click.BadParameter."""
    try:
        kinds = jobs.sweep_kinds(filter(str.strip, value.split(",")))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not kinds:
        raise click.BadParameter("names no kind")
    return kinds
