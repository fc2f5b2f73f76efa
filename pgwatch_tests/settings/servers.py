"""Servers of a fleet as they are declared: `[tool.pgwatch-tests.servers]`, a name and how to connect."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.settings.fields import Source, check_keys, parse_globs

_KEYS = ("dsn", "databases")
GLOB_CHARACTERS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class ServerSetting:
    """One server. `databases` are globs; empty: the database of its connection string."""

    name: str
    conninfo: str = field(repr=False)
    """The connection string, which may hold a password: for no message."""
    source: str
    """Where it was read, for messages."""
    databases: tuple[str, ...] = ()


def parse_servers(value: object, source: Source) -> tuple[ServerSetting, ...]:
    """The servers of the table `servers`, in its order. Raises ConfigurationError."""
    if not isinstance(value, dict):
        raise source.wrong('a table: [tool.pgwatch-tests.servers] with lines such as ci-1 = "service=ci-1"')
    return tuple(_server(name, entry, source.file) for name, entry in value.items())


def _server(name: str, value: object, file: Path | None) -> ServerSetting:
    where = f"servers.{name} in {file}"
    # --servers is a comma list of names and globs.
    if name != name.strip() or not name or GLOB_CHARACTERS & set(name) or "," in name:
        raise ConfigurationError(
            f"{where}: a server's name has no comma, no *, ? or [, and no space around it"
        )
    table = {"dsn": value} if isinstance(value, str) else value
    if not isinstance(table, dict) or not isinstance(conninfo := table.get("dsn"), str):
        # Not quoted: there may be a password in it.
        raise ConfigurationError(f"{where} must be a connection string, or a table with dsn and databases")
    check_keys(table, _KEYS, f"servers.{name} of {file}")
    globs = (
        parse_globs(table["databases"], Source(f"servers.{name}.databases in {file}", file))
        if "databases" in table
        else ()
    )
    return ServerSetting(name, conninfo, where, globs)
