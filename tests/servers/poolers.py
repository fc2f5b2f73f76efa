"""A pgbouncer in front of the tests' server, each in a directory of its own: no ports, and none shared."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_tests.embedded.account import server_account
from pgwatch_tests.embedded.server import EmbeddedServer, free_directory
from tests.servers.server_places import SHORT
from tests.waiting import wait_until

PoolMode = Literal["transaction", "session"]
MODES: tuple[PoolMode, ...] = ("transaction", "session")

_PORT = 6432
_HOW_TO_INSTALL = "pgbouncer isn't installed (Debian and Ubuntu: apt-get install pgbouncer)"


@dataclass(frozen=True, slots=True)
class Pooler:
    """A pooler that runs."""

    server: EmbeddedServer
    directory: Path

    def dsn(self, database: str, user: str = "postgres") -> str:
        """A connection string for a database of the server, through the pooler."""
        return make_conninfo(host=str(self.directory), port=_PORT, dbname=database, user=user)

    def cancelled(self) -> int:
        """How many requests to cancel the server has heard of, from anybody."""
        log = self.server.log_file.read_text(encoding="utf-8", errors="replace")
        return log.count("canceling statement due to user request")


@contextmanager
def pooler(
    server: EmbeddedServer,
    mode: PoolMode,
    pool_size: int = 3,
    *,
    aliases: Mapping[str, str] = MappingProxyType({}),
    **settings: str,
) -> Iterator[Pooler]:
    """Runs a pgbouncer for all databases of `server`, those of `aliases` under these names as well.

    Skips the test where there is none.
    """
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip(_HOW_TO_INSTALL)
    directory = free_directory("pgwatch-pooler-", SHORT)
    directory.mkdir(mode=0o755)
    account = server_account()
    try:
        if account is not None:
            directory.chmod(0o777)
        started = Pooler(server, directory)
        command = [program, "-q", *(["-u", "nobody"] if account is not None else []), "pgbouncer.ini"]
        place = conninfo_to_dict(server.dsn())
        there = f"host={place['host']} port={place['port']} user=postgres"
        words = {
            "unix_socket_dir": str(directory),
            "listen_port": str(_PORT),
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": str(pool_size),
            **settings,
        }
        lines = [f"{name} = {value}" for name, value in words.items()]
        (directory / "pgbouncer.ini").write_text(
            "\n".join(
                [
                    "[databases]",
                    *(f"{alias} = {there} dbname={name}" for alias, name in aliases.items()),
                    f"* = {there}",
                    "[pgbouncer]",
                    *lines,
                    "",
                ]
            ),
            encoding="utf-8",
        )
        with (directory / "log").open("wb") as log:
            running = subprocess.Popen(
                command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            wait_until(lambda: _answers(started, running), message="pgbouncer answers")
            yield started
            assert running.poll() is None, f"pgbouncer has ended: {_log(directory)}"
        finally:
            running.kill()
            running.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def settings_of(dsn: str) -> set[tuple[object, ...]]:
    """All settings of the session that the pooler gives, with its process."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        found = connection.execute(
            # Those of each transaction are made anew when one begins.
            "SELECT name, setting, reset_val, source FROM pg_show_all_settings()"
            "WHERE name !~ '^transaction_(isolation|read_only|deferrable)$'"
        )
        return {*found, *connection.execute("SELECT pg_backend_pid(), count(*) FROM pg_prepared_statements")}


def _answers(started: Pooler, running: subprocess.Popen[bytes]) -> bool:
    assert running.poll() is None, f"pgbouncer didn't start: {_log(started.directory)}"
    with suppress(psycopg.OperationalError):
        psycopg.connect(started.dsn("postgres"), connect_timeout=2).close()
        return True
    return False


def _log(directory: Path) -> str:
    return (directory / "log").read_text(encoding="utf-8", errors="replace")
