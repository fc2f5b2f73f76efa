"""The results directory of a run: names of its files, and `run.json`, its index.

    pgwatch-results/            or pgwatch-results/<shard>/
        run.json                the run: command, exit code, times, findings, files
        recording.pgwatch       what polls saw
        leaks.json contention.json report.md report.html junit.xml
        logs/                   transaction logs of the pytest plugin

`run.json` is there from the start, with `ended` null: one that is still so and that nobody holds is of a run
that was killed. Whoever runs holds the directory by a lock (flock), which ends with the process.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pgwatch_tests.errors import RecordingError, Verdict
from pgwatch_tests.foreign_files import read_bytes
from pgwatch_tests.record.plugin_findings import PluginFinding
from pgwatch_tests.record.run_summary import Hang, RunFacts
from pgwatch_tests.text.times import iso_time

if TYPE_CHECKING:
    from cattrs.preconf.json import JsonConverter

SCHEMA: Final = "pgwatch-tests.run/1"

ResultKind = Literal["recording", "leaks", "contention", "markdown", "html", "junit"]
FILE_NAMES: Final[dict[ResultKind, str]] = {
    "recording": "recording.pgwatch",
    "leaks": "leaks.json",
    "contention": "contention.json",
    "markdown": "report.md",
    "html": "report.html",
    "junit": "junit.xml",
}
RUN_NAME: Final = "run.json"
LOGS_NAME: Final = "logs"

_LOG_SUFFIXES = frozenset({".findings", ".journal", ".jsonl", ".tests", ".waits", ".writes"})
"""Of the files that the pytest plugin writes into the directory of logs."""


_MOST = 2**31


@cache
def _converter() -> JsonConverter:
    from cattrs.preconf.json import make_converter

    return make_converter()


@dataclass(frozen=True, slots=True)
class RunFinding:
    """A finding that `--fail-on` fails on; `kind` is its word there: `rows`, `blocked`, `deadlock` …"""

    kind: str
    text: str
    """A sentence."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What `run.json` says."""

    facts: RunFacts
    verdict: Verdict | None = None
    """Of `--fail-on`; None where nothing was asked to fail, or the run hasn't ended."""
    fail_on: tuple[str, ...] = ()
    findings: tuple[RunFinding, ...] = ()
    hangs: tuple[Hang, ...] = ()
    not_checked: tuple[str, ...] = ()
    """Sentences: what couldn't be recorded or checked, and why."""
    notes: tuple[str, ...] = ()
    """Sentences: what is worth knowing beside, such as where the connection string came from."""
    files: dict[str, str] = field(default_factory=dict)
    """Names of the files that were written, relative to the directory, by their kind (`ResultKind`)."""
    plugin_findings: tuple[PluginFinding, ...] = ()
    """What the pytest plugin found, where it was on."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of programs, by name: `pgwatch_tests`, `python`."""


class ResultsDirectory:
    """The directory of one run's results. It needn't be there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, kind: ResultKind) -> Path:
        """The path of that file, whether it is there or not."""
        return self.path / FILE_NAMES[kind]

    @property
    def recording(self) -> Path:
        """The path of the recording."""
        return self.file("recording")

    @property
    def logs(self) -> Path:
        """The path of the directory of transaction logs."""
        return self.path / LOGS_NAME

    @property
    def index(self) -> Path:
        """The path of `run.json`."""
        return self.path / RUN_NAME

    def read(self) -> RunRecord:
        """Reads `run.json`. Raises RecordingError if it isn't there, or holds no run."""
        return read_run(self.index)

    def write(self, record: RunRecord) -> None:
        """Writes `run.json`, wholly or not at all. Raises OSError."""
        self.write_text(self.index, document(record))

    def write_text(self, path: Path, text: str) -> None:
        """Writes a file of the directory, wholly or not at all. Raises OSError."""
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with unfinished.open("x", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            unfinished.replace(path)
        except OSError as error:
            error.filename = str(path)
            raise
        finally:
            unfinished.unlink(missing_ok=True)

    @property
    def is_in_use(self) -> bool:
        """Whether somebody's run is at work in it, on this machine."""
        try:
            with self.held() as held:
                return not held
        except OSError:
            return False

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Holds the directory, which must be there; gives False if somebody else does.

        Where locks can't be had, as on some network file systems, nobody is kept out. Raises OSError if
        there is no directory.
        """
        if sys.platform == "win32":
            yield True
            return
        import fcntl

        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            except OSError:
                pass
            yield True
        finally:
            os.close(descriptor)

    def is_of_earlier_run(self) -> bool:
        """Whether all files in it with names of ours are a run's: there is a `run.json` of ours."""
        with suppress(RecordingError):
            _content(self.index)
            return True
        return False

    @property
    def has_files(self) -> bool:
        """Whether there is any file with a name of ours."""
        return any((self.path / name).exists() for name in (RUN_NAME, LOGS_NAME, *FILE_NAMES.values()))

    def clear(self) -> None:
        """Removes the files of an earlier run, `run.json` last; nothing else. Raises OSError."""
        for name in FILE_NAMES.values():
            for beside in ("", "-wal", "-shm", "-journal"):
                (self.path / f"{name}{beside}").unlink(missing_ok=True)
        if self.logs.is_dir() and not self.logs.is_symlink():
            for path in self.logs.iterdir():
                if path.suffix in _LOG_SUFFIXES:
                    path.unlink()
            with suppress(OSError):
                self.logs.rmdir()
        self.index.unlink(missing_ok=True)


def document(record: RunRecord) -> str:
    """Returns the record as the JSON document `pgwatch-tests.run/1`: the run's facts at its top."""
    # Not by cattrs, which takes longer to load than a command may wait.
    content = asdict(record)
    facts = content.pop("facts")
    return json.dumps({"schema": SCHEMA, **facts, **content}, indent=1, default=_time) + "\n"


def _time(value: object) -> str:
    if isinstance(value, datetime):
        return iso_time(value, "microseconds")
    raise TypeError(f"no JSON: {type(value).__name__}")


def read_run(path: Path) -> RunRecord:
    """Reads a `run.json`. Raises RecordingError, in one line, if there is none or it holds no run.

    What a newer version has added to it is left out.
    """
    content = _content(path)
    try:
        facts = {one.name: content.pop(one.name) for one in fields(RunFacts) if one.name in content}
        record = _converter().structure({**content, "facts": facts}, RunRecord)
        _check(record.facts)
    # cattrs' errors are groups of those of its parts.
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, ExceptionGroup) as error:
        raise RecordingError(f"{path} is damaged: it isn't a whole index of a run") from error
    return record


def _check(facts: RunFacts) -> None:
    """Raises ValueError or OverflowError for times and numbers that no run has."""
    for moment in (facts.began, facts.ended):
        if moment is not None:
            if moment.tzinfo is None:
                raise ValueError("a time without its zone")
            moment.astimezone(UTC)
    numbers = facts.exit_code, facts.command_exit_code, facts.signal, facts.attempt, facts.pid
    if any(number is not None and not -_MOST <= number <= _MOST for number in numbers):
        raise ValueError("a number that no system has")


def _content(path: Path) -> dict[str, object]:
    """Returns the document in a `run.json`. Raises RecordingError if it is none."""
    try:
        content = json.loads(read_bytes(path))
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path} isn't the index of a run") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA or not isinstance(content, dict):
        known = isinstance(schema, str) and schema.startswith("pgwatch-tests.")
        which = f": it is a {schema!r} document, not {SCHEMA!r}" if known else ""
        raise RecordingError(f"{path} isn't the index of a run{which}")
    return dict(content)
