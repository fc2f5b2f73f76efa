"""Servers that `--servers` names: those of the settings, and those of libpq's service files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError, PgwatchError
from pgwatch_tests.fleet.shards import Shard, share
from pgwatch_tests.foreign_files import read_text
from pgwatch_tests.settings.fields import did_you_mean
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.settings.servers import GLOB_CHARACTERS


@dataclass(frozen=True, slots=True)
class Server:
    """A server of a fleet. `databases` are names or globs; empty: the database of its connection string."""

    name: str
    dsn: Dsn
    databases: tuple[str, ...] = ()


def reason_of(error: PgwatchError, dsn: Dsn) -> str:
    """The error in words, for a report that has the server's name beside it: without where it was read."""
    return str(error).replace(f" ({dsn.source})", "")


def choose_servers(
    settings: Settings,
    patterns: Sequence[str],
    databases: Sequence[str] = (),
    shard: Shard | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[Server, ...]:
    """Returns the servers whose names are, or fit, one of `patterns`: settings first, then service files.

    `databases` stand in place of those that a server is declared with. `shard` leaves others' servers to
    others: then there may be none. Raises ConfigurationError for a name, or a glob, that fits no server.
    """
    known = _known(settings, os.environ if environ is None else environ)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            noun = "fits" if GLOB_CHARACTERS & set(pattern) else "is called"
            end = did_you_mean(pattern, list(known)) if known else _HOW_TO_DECLARE
            raise ConfigurationError(f"no server {noun} {pattern!r}{end}")
    names = [name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if shard is not None:
        names = list(share(names, shard))
    return tuple(Server(name, known[name].dsn, tuple(databases) or known[name].databases) for name in names)


_HOW_TO_DECLARE = (
    ": declare servers in [tool.pgwatch-tests.servers] of pyproject.toml, or in ~/.pg_service.conf"
)


def _known(settings: Settings, environ: Mapping[str, str]) -> dict[str, Server]:
    declared = {
        one.name: Server(one.name, Dsn(one.conninfo, one.source), one.databases) for one in settings.servers
    }
    for file in service_files(environ):
        for name in service_names(file):
            # The whole string: user, host and password come from the file, by libpq itself.
            declared.setdefault(name, Server(name, Dsn(f"service={_quoted(name)}", f"service {name}")))
    return declared


def service_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The files that libpq looks services up in, its first choice first (PostgreSQL, libpq, "The Connection
    Service File"): PGSERVICEFILE or ~/.pg_service.conf, then PGSYSCONFDIR's, if that is set."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    own = Path(environ["PGSERVICEFILE"]) if environ.get("PGSERVICEFILE") else home / ".pg_service.conf"
    system = environ.get("PGSYSCONFDIR")
    return (own, Path(system) / "pg_service.conf") if system else (own,)


def service_names(file: Path) -> tuple[str, ...]:
    """The names of a service file's sections, in its order; none if it can't be read."""
    try:
        text = read_text(file, "replace")
    except OSError:
        return ()
    # As parseServiceFile has it (src/interfaces/libpq/fe-connect.c).
    lines = (line.strip() for line in text.splitlines())
    names = (line[1:-1] for line in lines if line.startswith("[") and line.endswith("]"))
    return tuple(dict.fromkeys(name for name in names if name and "," not in name))


def _quoted(value: str) -> str:
    escaped = value.replace("\\", r"\\").replace("'", r"\'")
    return f"'{escaped}'"
