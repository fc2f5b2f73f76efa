"""Runs that live: those of `pgwatch-tests run`, as their sessions announce them to others on the server.

A run has a session, in the maintenance database if it can, that holds leases (`postgres.leases`):

    run:<id>          what carries the run's id stays while it is held
    on:<database>     the run works in that database
    alone:<database>  it wants, or has, the database for itself

Its application name, which every role sees, tells in 63 bytes whose it is; its last statement tells all of
it, to its own role and to pg_monitor. Neither leaves anything in a database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, get_args

import psycopg
from psycopg import sql

from pgwatch_tests.identity.real_clock import real_time_ms
from pgwatch_tests.postgres.leases import LEASE_KEY
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.text.durations import in_words

RunMode = Literal["shared", "alone", "waiting"]
"""`waiting`: it will begin once it is alone."""

_PREFIX = "pgwatch-run"
_MARKS: Mapping[RunMode, str] = {"shared": "", "alone": "!", "waiting": "?"}
_MOST_BYTES = 63
_NAME = re.compile(
    rf"{_PREFIX} (?P<run>[0-9a-f]{{8}})(?P<mark>[!?]?) (?P<since>[0-9a-z]{{1,9}}) (?P<who>\S+)"
    r"(?: (?P<what>.*))?"
)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_MOST_OF_WHO = 22
_STATEMENT = re.compile(r"SELECT '(?P<json>\{.*\})' AS pgwatch_run", re.DOTALL)
# The server keeps 1,023 bytes of a statement (track_activity_query_size).
_MOST_OF_TEXT = {"command": 300, "who": 80, "database": 63, "shard": 60, "url": 150}


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a run tells of itself. Texts are its own, secrets masked."""

    run: str
    """8 hex digits."""
    database: str
    mode: RunMode
    since: datetime
    who: str
    """`anna@ci-12`."""
    command: str
    shard: str = ""
    url: str = ""
    """Of its CI job."""

    @property
    def application_name(self) -> str:
        """`pgwatch-run 1a2b3c4d! t7k2p9 anna@ci-12 pytest -n 4`: at most 63 bytes of printable ASCII."""
        since = _base36(int(self.since.timestamp()))
        who = _ascii(self.who).replace(" ", "_")[:_MOST_OF_WHO] or "?"
        head = f"{_PREFIX} {self.run}{_MARKS[self.mode]} {since} {who}"
        return f"{head} {_ascii(self.command)}"[:_MOST_BYTES].rstrip()

    def statement(self) -> sql.Composed:
        """A statement that does nothing, for whoever may see what the session ran last."""
        fields = {
            "run": self.run,
            "database": self.database,
            "mode": self.mode,
            "since": self.since.isoformat(timespec="seconds"),
            "who": self.who,
            "shard": self.shard,
            "url": self.url,
            "command": self.command,
        }
        # Neither backslashes nor double quotes: what the text is, its quotes don't change.
        told = {
            name: _ascii(value).replace("\\", "/").replace('"', "'")[: _MOST_OF_TEXT.get(name)]
            for name, value in fields.items()
            if value
        }
        return sql.SQL("SELECT {} AS pgwatch_run").format(sql.Literal(json.dumps(told)))


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that lives, as its session announces it. Other people's text."""

    run: str
    mode: RunMode
    pid: int
    """Of its session."""
    since: datetime
    """By the clock of its machine."""
    who: str
    command: str
    """Perhaps cut short."""
    databases: tuple[str, ...] = ()
    """Those that it works in, as far as they are there."""
    is_here: bool = False
    """Whether it is in the database that was asked about, or waits for it."""
    shard: str = ""
    url: str = ""

    def described(self, now: datetime) -> str:
        """`run 1a2b3c4d, anna@ci-12, for 12 min: pytest -n 4`. Other people's text, as it is."""
        mode = {"shared": "", "alone": ", alone", "waiting": ", waiting to be alone"}[self.mode]
        shard = f" ({self.shard})" if self.shard else ""
        age = in_words(max(0.0, (now - self.since).total_seconds()))
        command = f": {self.command}" if self.command else ""
        return f"run {self.run}{shard}, {self.who}, for {age}{mode}{command}"


@dataclass(frozen=True, slots=True)
class RunRow:
    """A row of queries/leases/runs.sql."""

    pid: int
    application_name: str
    statement: str | None
    databases: list[str] | None
    is_here: bool


def is_run_session(application_name: str) -> bool:
    """Whether a session bears the name of one that announces a run."""
    return _NAME.fullmatch(application_name) is not None


@lru_cache(maxsize=4096)
def announced(application_name: str, pid: int = 0) -> LiveRun | None:
    """Returns the run that a session's name announces; None if it announces none.

    Cached: polls see the same sessions again and again.
    """
    match = _NAME.fullmatch(application_name)
    if match is None:
        return None
    mode = next(mode for mode in get_args(RunMode) if _MARKS[mode] == match["mark"])
    since = _time(int(match["since"], 36))
    return LiveRun(match["run"], mode, pid, since, match["who"], (match["what"] or "").strip())


def run_parameters(database: str | None = None) -> dict[str, object]:
    """Parameters of queries/leases/runs.sql. `database`: whose runs are `is_here`."""
    return {"lease_key": LEASE_KEY, "prefix": f"{_PREFIX} ", "database": database}


def live_runs(rows: Iterable[RunRow]) -> tuple[LiveRun, ...]:
    """Returns the runs of the rows of queries/leases/runs.sql, those that began first ahead. Pure."""
    found = [run for run in map(_live_run, rows) if run is not None]
    return tuple(sorted(found, key=lambda run: (run.since, run.pid)))


def read_runs(session: DatabaseSession, database: str | None = None) -> tuple[LiveRun, ...]:
    """Returns the runs that live on the server of `session`. Raises what `session.running` does."""
    return live_runs(session.ask("leases/runs", RunRow, run_parameters(database)))


def runs_at_work(session: DatabaseSession, database: str, but: str | None = None) -> tuple[str, ...]:
    """Returns the runs that work in a database, in words; none if that can't be read now. See `described`.

    Without the run with the id `but`. Raises ConnectionLostError, GaveWayError and WorkCancelledError.
    """
    try:
        runs = read_runs(session, database)
    except psycopg.Error:
        return ()
    now = datetime.fromtimestamp(real_time_ms() / 1000, UTC)
    return tuple(one.described(now) for one in runs if one.is_here and one.run != but)


def _live_run(row: RunRow) -> LiveRun | None:
    short = announced(row.application_name, row.pid)
    if short is None:
        return None
    told = _told(row.statement or "")
    if told.get("run") != short.run:
        told = {}
    databases = tuple(row.databases or ()) or tuple(filter(None, [told.get("database", "")]))
    return LiveRun(
        short.run,
        short.mode,
        row.pid,
        short.since,
        told.get("who") or short.who,
        told.get("command") or short.command,
        databases,
        row.is_here,
        told.get("shard", ""),
        told.get("url", ""),
    )


def _told(statement: str) -> dict[str, str]:
    """Returns what the session's statement tells; empty if it is hidden, or another one."""
    match = _STATEMENT.fullmatch(statement)
    if match is None:
        return {}
    try:
        fields = json.loads(match["json"].replace("''", "'"))
    except ValueError:
        return {}
    return {name: value for name, value in fields.items() if isinstance(value, str)}


def _ascii(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def _base36(number: int) -> str:
    digits = ""
    while number > 0:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"


def _time(epoch_s: int) -> datetime:
    # Anybody can give a session a name: no number of nine digits is beyond datetime but those above this.
    return datetime.fromtimestamp(min(epoch_s, 253402300799), UTC)
