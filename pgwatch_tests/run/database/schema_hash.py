"""The hash of a suite's migrations, compared with that which a database's schema was made by.

It is kept with the database, as a setting of ours that nothing reads (ALTER DATABASE … SET
pgwatch.migrations_hash): it goes when the database is dropped, and no table, schema or comment is touched.
Where a role may not set it (from PostgreSQL 15 on that needs a superuser, or GRANT SET ON PARAMETER), it is
kept on this machine, by the server and the database's OID.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from pgwatch_tests.errors import ConfigurationError, RefusedError
from pgwatch_tests.identity.real_clock import real_time_ms
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import lost_connection
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.dsn import address
from pgwatch_tests.postgres.connections.maintenance_database import connect_outside, tested_database
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.server_messages import not_checked
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.durations import in_words
from pgwatch_tests.text.plain_text import plain

SETTING = "pgwatch.migrations_hash"
_LIMITS = SessionLimits(statement_timeout_s=10.0, lock_timeout_s=2.0, read_only=False)
_LONGEST_COMMAND_S = 300.0
_VALUE = re.compile(r"(?P<hash>[0-9a-f]{16}) (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ?(?P<who>.*)")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded: the hash, when, and by whom (`branch main, anna@here`): other people's text."""

    hash: str
    at: datetime
    who: str

    @property
    def value(self) -> str:
        """It as one line."""
        return f"{self.hash} {self.at:%Y-%m-%dT%H:%M:%SZ} {self.who}".rstrip()

    @classmethod
    def read(cls, value: str) -> Recorded | None:
        """Reads what `value` wrote; None if it is something else."""
        match = _VALUE.fullmatch(value)
        if match is None:
            return None
        at = datetime.strptime(match["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        return cls(match["hash"], at, match["who"])


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of queries/run/recorded_hash.sql."""

    oid: int
    recorded: str | None
    server_started: float


def migrations_hash(source: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Returns 16 hex digits: of a file, of all files of a directory, or of what a shell command prints.

    Raises ConfigurationError if the command fails, or takes more than 5 minutes, or nothing can be read.
    """
    path = folder / source
    try:
        if path.is_dir():
            digest = hashlib.sha256()
            for file in sorted(
                one for one in path.rglob("*") if one.is_file() and "__pycache__" not in one.parts
            ):
                name = file.relative_to(path).as_posix().encode("utf-8", "surrogateescape")
                digest.update(b"%d %s %d " % (len(name), name, file.stat().st_size) + file.read_bytes())
            return digest.hexdigest()[:16]
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise ConfigurationError(f"--migrations-hash: {source} can't be read: {error.strerror}") from None
    try:
        done = subprocess.run(
            source,
            shell=True,  # the option is a command of whoever runs us
            cwd=folder,
            env={**environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=_LONGEST_COMMAND_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"--migrations-hash: {source!r} didn't end well: {error}") from None
    if done.returncode or not done.stdout.strip():
        why = f"exit code {done.returncode}" if done.returncode else "it printed nothing"
        raise ConfigurationError(
            f"--migrations-hash: {source!r} is neither a file nor a command that works ({why})"
        )
    return hashlib.sha256(done.stdout).hexdigest()[:16]


def check_schema(settings: Settings, wanted: str, who: str, *, migrated: bool = False) -> str:
    """Compares with what was recorded for the database; records it if nothing was, or if it was `migrated`.

    Returns a sentence on what was recorded, empty if nothing had to be. Raises RefusedError if the schema is
    of other migrations; CannotConnectError, ConnectionLostError, NotCheckedError.
    """
    with not_checked("the recorded migrations can't be read"), lost_connection(settings.dsn):
        patience_s = settings.connect_timeout_s
        connection = connect_outside(settings.dsn, _LIMITS, connect_timeout_s=patience_s)
        with closing(connection):
            database = tested_database(connection, settings.dsn, _LIMITS, connect_timeout_s=patience_s)
            with connection.cursor(row_factory=class_row(_Row)) as cursor:
                cursor.execute(
                    queries.load("run/recorded_hash").encode(), {"database": database, "setting": SETTING}
                )
                row = cursor.fetchone()
            if row is None:
                return f"{plain(database)} isn't there yet: no hash of its migrations was recorded"
            local = _LocalRecord(f"{address(settings.dsn)} {row.oid}")
            known = Recorded.read(row.recorded or "") or local.read()
            if known is not None and known.hash == wanted:
                return ""
            if known is not None and not migrated:
                raise RefusedError(_refusal(database, known, wanted))
            now = Recorded(wanted, datetime.fromtimestamp(real_time_ms() / 1000, UTC), who)
            where = _record(connection, database, now, local)
            return f"{plain(database)} is recorded as of these migrations ({wanted}){where}"


def _record(connection: OwnConnection, database: str, now: Recorded, local: _LocalRecord) -> str:
    statement = sql.SQL("ALTER DATABASE {} SET {} TO {}").format(
        sql.Identifier(database), sql.Identifier(*SETTING.split(".")), sql.Literal(now.value)
    )
    try:
        connection.execute(statement)
    except psycopg.Error:
        local.write(now)
        return ", on this machine only: this role may not keep it with the database"
    local.forget()
    return ""


def _refusal(database: str, known: Recorded, wanted: str) -> str:
    age = in_words(max(0.0, real_time_ms() / 1000 - known.at.timestamp()))
    by = f" by {plain(known.who)}" if known.who else ""
    return (
        f"{plain(database)} has the schema of other migrations: {known.hash} was recorded {age} ago{by}, "
        f"these are {wanted}. Make it anew, or migrate it and add --migrated; or give the command a database "
        "of its own (--lane=TEMPLATE)"
    )


class _LocalRecord:
    """A file of this account's, for databases whose settings we may not change."""

    def __init__(self, key: str) -> None:
        self._key = key

    def read(self) -> Recorded | None:
        value = self._all().get(self._key)
        return Recorded.read(value) if isinstance(value, str) else None

    def write(self, recorded: Recorded) -> None:
        """Raises ConfigurationError if it can't be kept: the next run would know of nothing."""
        try:
            self._write({**self._all(), self._key: recorded.value})
        except (OSError, RuntimeError) as error:
            raise ConfigurationError(f"the hash of the migrations can't be kept: {error}") from None

    def forget(self) -> None:
        """The database has it now."""
        with suppress(OSError, RuntimeError):
            if self._key in (known := self._all()):
                self._write({key: value for key, value in known.items() if key != self._key})

    def _all(self) -> dict[str, object]:
        try:
            found = json.loads(_place().read_text(encoding="utf-8"))
        except (OSError, ValueError, RuntimeError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, known: Mapping[str, object]) -> None:
        place = _place()
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = place.with_name(f"{place.name}.{os.getpid()}")
        beside.write_text(json.dumps(known, indent=1), encoding="utf-8")
        beside.replace(place)


def _place() -> Path:
    import platformdirs

    return platformdirs.user_state_path("pgwatch-tests") / "migrations.json"
