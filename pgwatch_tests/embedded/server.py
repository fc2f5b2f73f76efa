"""An embedded PostgreSQL server: for the demo, for tests, gone without a trace when its owner is.

It listens on a Unix socket in a private directory and nowhere else. Root may own one: the server
itself then runs as `nobody`.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from urllib.parse import quote, urlencode

from pgwatch_tests.embedded import guardian
from pgwatch_tests.embedded.account import ServerAccount, server_account
from pgwatch_tests.embedded.guarded_process import GuardedProcess
from pgwatch_tests.embedded.programs import ServerPrograms, environment, find_programs
from pgwatch_tests.embedded.socket_directory import can_hold_socket
from pgwatch_tests.errors import ConfigurationError

__all__ = ["EmbeddedServer", "ServerPrograms", "find_programs", "free_directory"]

SUPERUSER = "postgres"
_PORT = 5432
_START_LIMIT_S = 60.0
_POLL_S = 0.02
_LOG_PREFIX = re.compile(r"^\S+ \S+ \S+ \[\d+\] ")

# Durability is off: nothing here is meant to survive.
DEFAULT_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "max_connections": "100",
        "max_prepared_transactions": "20",
        "shared_buffers": "16MB",
        # In files of the data directory: what a killed server leaves goes with that.
        "dynamic_shared_memory_type": "mmap",
        "deadlock_timeout": "1s",
        "track_commit_timestamp": "on",
    }
)


def _quiet(_: str) -> None:
    """The progress callback of those who don't want to know."""


class EmbeddedServer:
    """One server with its own data directory, as a context manager; all calls from one thread.

    `directory` must not exist yet (see `free_directory`); it is made by `start` and removed by
    `close`. `template` is the data directory of another one, which doesn't run: it is copied, which
    takes less time than making a new one.
    """

    def __init__(
        self,
        programs: ServerPrograms,
        directory: Path,
        settings: Mapping[str, str] = MappingProxyType({}),
        template: Path | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self._programs = programs
        self._settings = {**DEFAULT_SETTINGS, **settings}
        self._template = template
        self._account = server_account()
        self._guarded: GuardedProcess | None = None
        self._socket_directory = self.directory / "s"

    def __enter__(self) -> EmbeddedServer:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def data_directory(self) -> Path:
        """What initdb made."""
        return self.directory / "data"

    @property
    def log_file(self) -> Path:
        """What the server writes about itself."""
        return self.directory / "log"

    @property
    def pid(self) -> int:
        """The process id of the running server (the postmaster)."""
        if self._guarded is None or self._guarded.pid is None:
            raise RuntimeError("the embedded server isn't running")
        return self._guarded.pid

    def dsn(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """A connection URL for one of its databases."""
        place = urlencode({"host": str(self._socket_directory), "port": _PORT}, safe="/", quote_via=quote)
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?{place}"

    def initialise(self, progress: Callable[[str], None] = _quiet) -> GuardedProcess:
        """Makes its directories and data, unless they are there; `start` does so itself."""
        if self._guarded is None:
            self._guarded = GuardedProcess(self._account)
            self._make_home(self._guarded, progress)
        return self._guarded

    def start(self, progress: Callable[[str], None] = _quiet) -> None:
        """Starts the server; returns when it takes connections."""
        guarded = self.initialise(progress)
        begun = time.monotonic()
        # Outside the data directory, which belongs to another account if we are root.
        configuration = self.directory / "server.conf"
        configuration.write_text(self._configuration(), encoding="utf-8")
        configuration.chmod(0o644)
        guarded.start(
            [self._programs.postgres, "-D", self.data_directory, "-c", f"config_file={configuration}"],
            log=self.log_file,
            environment=environment(),
        )
        self._wait_until_ready(guarded)
        progress(f"PostgreSQL {self._programs.version()} started ({time.monotonic() - begun:.1f} s)")

    def stop(self, fast: bool = True) -> None:
        """Stops the server and keeps its data. Not `fast` is at once, as in a crash: it recovers at start."""
        guarded = self._guarded
        if guarded is None or guarded.pid is None:
            return
        if not fast:
            guarded.signal(signal.SIGQUIT)
            guarded.wait(guardian.STOP_SEQUENCE[1][1])
        guardian.end(guarded.signal, guarded.wait)

    def restart(self, fast: bool = True) -> None:
        """Stops and starts the server."""
        self.stop(fast)
        self.start()

    def close(self) -> None:
        """Stops the server and removes everything that it made."""
        if self._guarded is not None:
            self._guarded.close()
            self._guarded = None

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the server's log."""
        try:
            text = self.log_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _make_home(self, guarded: GuardedProcess, progress: Callable[[str], None]) -> None:
        guarded.make_directory(self.directory)
        if not can_hold_socket(self._socket_directory):
            self._socket_directory = Path("/tmp", f"pgwt-{secrets.token_hex(6)}")
        guarded.make_directory(self._socket_directory, for_account=True)
        # A template is copied into a directory that is still ours: nobody else can meddle with the copy.
        guarded.make_directory(self.data_directory, for_account=self._template is None)
        if self._account is not None:
            self._make_reachable(self._account, progress)
        begun = time.monotonic()
        if self._template is None:
            self._initdb(guarded)
        else:
            shutil.copytree(self._template, self.data_directory, symlinks=True, dirs_exist_ok=True)
            self._give_away()
            self.data_directory.chmod(0o700)
        progress(f"data directory created ({time.monotonic() - begun:.1f} s)")

    def _make_reachable(self, account: ServerAccount, progress: Callable[[str], None]) -> None:
        if not account.can_pass(self.directory):
            raise ConfigurationError(
                f"{self.directory} can't be reached by the account 'nobody', which the server runs as"
            )
        if not self._programs.usable_by(account):
            begun = time.monotonic()
            self._programs = self._programs.copied_to(self.directory)
            progress(f"programs copied for the account 'nobody' ({time.monotonic() - begun:.1f} s)")

    def _initdb(self, guarded: GuardedProcess) -> None:
        guarded.start(
            [
                self._programs.initdb,
                f"--pgdata={self.data_directory}",
                f"--username={SUPERUSER}",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--wal-segsize=1",
            ],
            log=self.log_file,
            environment=environment(),
        )
        if not guarded.wait(_START_LIMIT_S) or guarded.exit_code != 0:
            raise ConfigurationError(f"initdb failed: {_last_words(self.log_tail())}")

    def _give_away(self) -> None:
        if self._account is not None:
            for path in (*self.data_directory.rglob("*"), self.data_directory):
                os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)

    def _configuration(self) -> str:
        settings = {
            **self._settings,
            "listen_addresses": "",
            "port": str(_PORT),
            "unix_socket_directories": f'"{self._socket_directory}"',
        }
        lines = (f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items())
        return "\n".join(("include 'data/postgresql.conf'", *lines, ""))

    def _wait_until_ready(self, guarded: GuardedProcess) -> None:
        deadline = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < deadline:
            if guarded.wait(_POLL_S):
                break
            if self._says_ready():
                return
        raise ConfigurationError(f"PostgreSQL didn't start: {_last_words(self.log_tail())}")

    def _says_ready(self) -> bool:
        """Whether postmaster.pid, which a crash may have left behind, is this server's and says it is."""
        try:
            lines = (self.data_directory / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() in ("ready", "standby")


def free_directory(prefix: str = "pgwatch-", base: Path | None = None) -> Path:
    """A path for a server's directory that doesn't exist yet, where the server's account can get at it.

    In `base`, by default the directory for temporary files, or else in /tmp or /var/tmp.
    """
    account = server_account()
    for place in (base or Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):
        if place.is_dir() and (account is None or account.can_pass(place.resolve())):
            return place.resolve() / f"{prefix}{secrets.token_hex(6)}"
    raise ConfigurationError("no directory for temporary files that the account 'nobody' can reach")


def _last_words(log: str) -> str:
    """How a log ends, in one line."""
    lines = [_LOG_PREFIX.sub("", line).strip() for line in log.splitlines()]
    return " / ".join([line for line in lines if line][-3:]) or "its log is empty"
