"""The log of transaction ids: which test's transactions wrote, in files beside the database, not in it.

One file a worker process (and database), of JSON lines, in a directory that all workers share. The
first line says what the file is:

    {"schema": "pgwatch-tests.transactions/1", "system_identifier": "7…", "database_oid": 16384,
     "database": "app_test", "worker": "gw0", "pid": 4711,
     "server_ahead_us": 120, "server_ahead_error_us": 80}

Then each test is numbered, and every other line says which one it is about:

    {"began": 1, "at": "2026-01-02T03:04:05.678901Z", "test": "tests/test_booking.py::test_books"}
    {"wrote": 1, "xid": 8589934592, "started_at": "…", "inserted": [16390], "changed": []}
    {"ended": 1, "at": "…", "outcome": "passed"}

`unknown` in a last line counts the commits whose ids aren't known, by how they were made, and `may_write` are
the tables that any commit may have written to, as statements say (null: any). A line of its own says in which
rows that were there in the end such a commit may have left its id:

    {"perhaps": 1, "table": 16390, "xids": [8589934593]}

`judged` says that
`inserted` and `changed` were judged by the rows that were left, not by counters of a session; `complete`,
where it is false, that other tables may have rows of the transaction as well. A `kind` of `fixture` in a
first line says that no test is meant; `session` in the header which run of tests wrote the file.

Lines are only ever appended, some at a time, by one write: a worker that is killed leaves whole lines and
at most one torn one at the end, and processes that it forks don't break each other's lines. No text of any
statement is in it.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from pathlib import Path
from types import MappingProxyType, TracebackType

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.identity.real_clock import real_time_ms, real_time_ns
from pgwatch_tests.leaks.attribution.test_runs import ClockOffset, DatabaseIdentity, TestRun, Written

SCHEMA = "pgwatch-tests.transactions/1"
_SUFFIX = ".jsonl"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOST_OF_A_LINE = 1 << 20


class TransactionLog:
    """Writes one worker's log. Its methods raise OSError if a line can't be written; the next may succeed."""

    def __init__(
        self,
        directory: Path,
        database: DatabaseIdentity,
        worker: str,
        clock: ClockOffset | None = None,
        session: str = "",
    ) -> None:
        """Makes a new file in `directory` (made as well, readable by its owner alone, if it isn't there).

        Raises OSError; neither the directory nor the file may be a symbolic link.
        """
        self._numbers = itertools.count(1)
        self._torn = False
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{os.getpid()}-{real_time_ms()}-{secrets.token_hex(4)}{_SUFFIX}"
        self.path = directory / name
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(name, flags, 0o600, dir_fd=folder)
        finally:
            os.close(folder)
        of_session = {"session": session} if session else {}
        header = {
            "schema": SCHEMA,
            "system_identifier": database.system_identifier,
            "database_oid": database.oid,
            "database": database.name,
            "worker": worker,
            "pid": os.getpid(),
            "server_ahead_us": None if clock is None else clock.ahead_us,
            "server_ahead_error_us": None if clock is None else clock.error_us,
            **of_session,
        }
        self._append(json.dumps(header, separators=(",", ":")) + "\n")

    def __enter__(self) -> TransactionLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def began(self, test: str, at_us: int | None = None, *, is_fixture: bool = False) -> int:
        """Logs that a test begins; call it before anything of it runs. Returns its number in this log.

        `at_us` is when that was, µs since 1970, if it isn't now.
        """
        number = next(self._numbers)
        kind = ',"kind":"fixture"' if is_fixture else ""
        self._append(f'{{"began":{number},"at":"{_at(at_us)}","test":{_quoted(test)}{kind}}}\n')
        return number

    def wrote(self, number: int, transaction: Written) -> None:
        """Logs a transaction of the test; call it right before the COMMIT, after its last write."""
        self._append(_written(number, transaction))

    def ended(
        self,
        number: int,
        outcome: str,
        transactions: Iterable[Written] = (),
        unknown: Mapping[str, int] = MappingProxyType({}),
        at_us: int | None = None,
        may_write: frozenset[int] | None = None,
    ) -> None:
        """Logs that the test is over, its fixtures included, ahead of that the transactions given.

        `unknown` counts commits whose ids aren't known, by how they were made; `may_write` are the tables
        that any of its commits may have written to (None: any).
        """
        told = f',"unknown":{json.dumps(dict(unknown))}' if unknown else ""
        tables = "" if may_write is None else f',"may_write":{_listed(may_write)}'
        wrote = "".join([_written(number, one) for one in transactions])
        self._append(
            f'{wrote}{{"ended":{number},"at":"{_at(at_us)}","outcome":{_quoted(outcome)}{told}{tables}}}\n'
        )

    def may_have_written(self, number: int, table_oid: int, xids: frozenset[int]) -> None:
        """Logs the ids in rows of a table that may be of the test's commits without a known id."""
        self._append(f'{{"perhaps":{number},"table":{table_oid},"xids":{_listed(xids)}}}\n')

    def close(self) -> None:
        """Closes the file; a test without an end counts as still running."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, text: str) -> None:
        lines = text.encode()
        if self._torn:
            lines = b"\n" + lines
        # Until the write is complete, the file may end in half a line.
        self._torn = True
        while lines:
            lines = lines[os.write(self._file, lines) :]
        self._torn = False


# Lines are put together by hand: json.dumps takes longer than the write.
def _written(number: int, transaction: Written) -> str:
    started_us = transaction.started_us
    started = "null" if started_us is None else f'"{_iso(started_us)}"'
    judged = ',"judged":true' if transaction.is_judged else ""
    complete = "" if transaction.is_complete else ',"complete":false'
    return (
        f'{{"wrote":{number},"xid":{transaction.xid},"started_at":{started},'
        f'"inserted":{_listed(transaction.inserted)},"changed":{_listed(transaction.changed)}'
        f"{judged}{complete}}}\n"
    )


def _listed(oids: frozenset[int] | None) -> str:
    return "null" if oids is None else f"[{','.join(map(str, sorted(oids)))}]"


@dataclass(frozen=True, slots=True)
class LogFile:
    """One worker's log as it was read."""

    name: str
    database: DatabaseIdentity | None
    """None if the file lacks its first line."""
    runs: tuple[TestRun, ...] = ()
    damaged: int = 0
    """Lines that make no sense, without a torn last one."""
    session: str = ""
    """Which run of tests wrote it; empty: not told."""


def read_logs(directory: Path) -> tuple[LogFile, ...]:
    """Returns all logs in a directory, by name; symbolic links aren't followed. Raises ConfigurationError."""
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the transaction logs in {directory}: {error.strerror}"
        ) from error
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
        return tuple(_read(name, folder) for name in names if name.endswith(_SUFFIX))
    finally:
        os.close(folder)


def _read(name: str, folder: int) -> LogFile:
    try:
        # Without waiting for whoever writes into a pipe of that name.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return LogFile(name, None, damaged=1)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        return LogFile(name, None, damaged=1)
    with os.fdopen(file, "rb") as stream:
        try:
            return _parsed(name, iter(lambda: stream.readline(_MOST_OF_A_LINE), b""))
        except OSError:
            return LogFile(name, None, damaged=1)


def _parsed(name: str, lines: Iterator[bytes]) -> LogFile:
    first = next(lines, b"")
    if not first.endswith(b"\n"):
        # Killed before anything ran.
        return LogFile(name, None)
    try:
        header = _object(first)
        if header.get("schema") != SCHEMA:
            return LogFile(name, None, damaged=1)
        database = DatabaseIdentity(
            _str(header, "system_identifier"), _int(header, "database_oid"), _str(header, "database")
        )
        worker, clock = _str(header, "worker"), _clock(header)
    except ValueError:
        return LogFile(name, None, damaged=1)
    runs: dict[int, TestRun] = {}
    damaged = 0
    for line in lines:
        if not line.endswith(b"\n") and len(line) < _MOST_OF_A_LINE:
            break
        try:
            _apply(_object(line), runs, worker, clock)
        except (ValueError, KeyError):
            damaged += 1
    session = header.get("session")
    return LogFile(name, database, tuple(runs.values()), damaged, session if isinstance(session, str) else "")


def _apply(
    record: Mapping[str, object], runs: dict[int, TestRun], worker: str, clock: ClockOffset | None
) -> None:
    """Adds a line's record to what is known. Raises ValueError or KeyError if it makes no sense."""
    if "began" in record:
        number = _int(record, "began")
        if number in runs:
            raise ValueError("began twice")
        runs[number] = TestRun(
            _str(record, "test"),
            worker,
            _time(record, "at"),
            None,
            clock=clock,
            is_fixture=record.get("kind") == "fixture",
        )
    elif "wrote" in record:
        number = _int(record, "wrote")
        run = runs[number]
        written = Written(
            _int(record, "xid"),
            None if record.get("started_at") is None else _time(record, "started_at"),
            _numbers(record, "inserted"),
            _numbers(record, "changed"),
            is_judged=record.get("judged") is True,
            is_complete=record.get("complete") is not False,
        )
        if not written.is_judged and any(
            _overlaps(other, run) for other in runs.values() if other is not run
        ):
            # Two tests at once in one worker, in threads: they may share the connection.
            written = replace(written, inserted=None, changed=None)
        runs[number] = replace(run, transactions=(*run.transactions, written))
    elif "perhaps" in record:
        number, table = _int(record, "perhaps"), _int(record, "table")
        rows = frozenset((table, xid) for xid in _numbers(record, "xids") or ())
        runs[number] = replace(runs[number], perhaps=runs[number].perhaps | rows)
    else:
        number = _int(record, "ended")
        runs[number] = replace(
            runs[number],
            ended_us=_time(record, "at"),
            outcome=_str(record, "outcome"),
            unknown=_count(record.get("unknown")),
            unknown_ways=_ways(record.get("unknown")),
            may_write=_numbers(record, "may_write"),
        )


def _overlaps(other: TestRun, run: TestRun) -> bool:
    """Whether another test of the worker ran while `run`, which hasn't ended, did."""
    return other.ended_us is None or other.ended_us > run.began_us


def _object(line: bytes) -> Mapping[str, object]:
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _int(record: Mapping[str, object], key: str) -> int:
    value = record.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{key} isn't a whole number")
    return value


def _str(record: Mapping[str, object], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} isn't text")
    return value


def _numbers(record: Mapping[str, object], key: str) -> frozenset[int] | None:
    value = record.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(oid, int) for oid in value):
        raise ValueError(f"{key} isn't a list of whole numbers")
    return frozenset(value)


def _clock(record: Mapping[str, object]) -> ClockOffset | None:
    if record.get("server_ahead_us") is None:
        return None
    return ClockOffset(_int(record, "server_ahead_us"), _int(record, "server_ahead_error_us"))


def _time(record: Mapping[str, object], key: str) -> int:
    time_ = datetime.fromisoformat(_str(record, key))
    if time_.tzinfo is None:
        raise ValueError(f"{key} has no time zone")
    return (time_ - _EPOCH) // _MICROSECOND


def _count(unknown: object) -> int:
    if not isinstance(unknown, dict):
        return 0
    return sum(number for number in unknown.values() if isinstance(number, int))


def _ways(unknown: object) -> frozenset[str]:
    return frozenset(map(str, unknown)) if isinstance(unknown, dict) else frozenset()


def _at(epoch_us: int | None) -> str:
    return _iso(real_time_ns() // 1000 if epoch_us is None else epoch_us)


def _iso(epoch_us: int) -> str:
    seconds, microseconds = divmod(epoch_us, 1_000_000)
    return f"{_second(seconds)}.{microseconds:06}Z"


@lru_cache(maxsize=2)
def _second(epoch_s: int) -> str:
    """`2026-01-02T03:04:05`: lines come by the thousand in a second."""
    return (_EPOCH + timedelta(seconds=epoch_s)).strftime("%Y-%m-%dT%H:%M:%S")
