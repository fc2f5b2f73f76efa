"""Files of JUnit reports: which ones are meant, and one read, from a disk, a pipe or standard input."""

from __future__ import annotations

import io
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pgwatch_tests.foreign_files import (
    closed_directories,
    files_below,
    fitting_files,
    fixed_part,
    is_directory,
    is_pattern,
    open_file,
)
from pgwatch_tests.identity.junit_cases import Anomaly, JUnitCase, Runner
from pgwatch_tests.identity.junit_reader import CaseReader, Readable

GivenAs = Literal["name", "pattern", "directory"]
"""How somebody has asked for a file; `directory` for one above it."""
TroubleKind = Literal["", "empty", "torn", "refused", "unreadable", "growing"]

STDIN = Path("-")
_LONGEST_SILENCE_S = 30.0
"""A pipe that nobody writes into for so long is given up."""
_READ_ANEW_AFTER_S = 0.25


@dataclass(frozen=True, slots=True)
class ReportFile:
    """One file as it was read."""

    path: Path
    cases: tuple[JUnitCase, ...] = ()
    trouble: str = ""
    """Why there may be more, or nothing is read; empty if nothing is wrong."""
    trouble_kind: TroubleKind = ""
    runner: Runner = ""
    declared: int | None = None
    """How many tests it announces at its beginning."""
    suites: int = 0
    empty_suites: tuple[str, ...] = ()
    first_began: datetime | None = None
    last_began: datetime | None = None
    """The first and the last of its suites' beginnings; None if it has none with a zone."""
    modified: datetime | None = None
    """When it was last written; None for a pipe."""
    size: int = 0
    anomalies: tuple[Anomaly, ...] = field(default=())

    def is_copy_of(self, other: ReportFile) -> bool:
        """Whether both have the same content, as far as it counts."""
        return bool(self.cases) and (self.size, self.cases) == (other.size, other.cases)


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file that was asked for, by name or by a pattern."""

    path: Path
    root: Path
    """The directory below which the names of directories tell its shard."""
    given_as: GivenAs = "name"

    @property
    def is_named(self) -> bool:
        """Whether it was named itself."""
        return self.given_as == "name"


def given_files(arguments: Iterable[Path]) -> tuple[list[GivenFile], list[str]]:
    """Returns the files of names, patterns and directories, each once, and why others have none, in words.

    Of a directory, it is all files below that end in `.xml`. A directory that can't be looked into is among
    the files: there may be reports in it, and reading it tells why not.
    """
    found: dict[str, GivenFile] = {}
    nothing: list[str] = []
    for argument in arguments:
        those = list(_matching(argument))
        if not those:
            nothing.append(_why_nothing(argument))
        for one in those:
            found.setdefault(str(one.path) if one.path == STDIN else os.path.realpath(one.path), one)
    return list(found.values()), nothing


def _matching(argument: Path) -> Iterator[GivenFile]:
    if argument == STDIN:
        yield GivenFile(STDIN, Path())
    elif is_directory(argument):
        closed: list[Path] = []
        for path in files_below(argument, ".xml", closed=closed):
            yield GivenFile(path, argument, "directory")
        for path in closed:
            yield GivenFile(path, argument, "directory")
    elif is_pattern(argument):
        base = fixed_part(argument)
        for path in (*fitting_files(argument), *closed_directories(argument)):
            yield GivenFile(path, base, "pattern")
    elif os.path.lexists(argument):
        yield GivenFile(argument, argument.parent)
    else:
        for path in closed_directories(argument):
            yield GivenFile(path, path.parent, "directory")


def _why_nothing(argument: Path) -> str:
    if is_directory(argument):
        return f"no JUnit file (*.xml) is in {argument} or below"
    return f"no file matches {argument}" if is_pattern(argument) else f"there is no file {argument}"


def read_report_file(
    path: Path, *, may_be_pipe: bool = False, sleep: Callable[[float], None] = time.sleep
) -> ReportFile:
    """Reads one file, as `read_report_files` does."""
    [report] = read_report_files([(path, may_be_pipe)], sleep=sleep)
    return report


def read_report_files(
    paths: Iterable[tuple[Path, bool]], *, sleep: Callable[[float], None] = time.sleep
) -> list[ReportFile]:
    """Reads files, each with whether it may be a pipe; what can't be read is told in `trouble`, never raised.

    One that changes meanwhile is read once more, and so is a torn one that has changed since: it isn't torn,
    but still being written. If it still changes, it is `growing`. One pause is for all of them.
    """
    read = [(*_read(path, may_be_pipe), may_be_pipe) for path, may_be_pipe in paths]
    if not any(_may_be_growing(report, state) for report, state, _ in read):
        return [report for report, _, _ in read]
    sleep(_READ_ANEW_AFTER_S)
    return [
        _read_anew(report, state, may_be_pipe) if _may_be_growing(report, state) else report
        for report, state, may_be_pipe in read
    ]


def _may_be_growing(report: ReportFile, state: _State | None) -> bool:
    return state is not None and (not state.is_stable or report.trouble_kind in ("torn", "empty"))


def _read_anew(report: ReportFile, before: _State | None, may_be_pipe: bool) -> ReportFile:
    """The file after the pause: as it was if it is at rest."""
    if before is None or (before.is_stable and before == _state(report.path)):
        return report
    again, now = _read(report.path, may_be_pipe)
    if now is None or (now.is_stable and again.trouble_kind not in ("torn", "empty")):
        return again
    return replace(again, trouble="it is still being written", trouble_kind="growing")


@dataclass(frozen=True, slots=True)
class _State:
    """What tells that a file on a disk has changed."""

    size: int
    modified_ns: int
    file: tuple[int, int]
    """Its device and inode: a new file may have come in its place."""
    is_stable: bool = True
    """Whether it stayed so while it was read."""

    @classmethod
    def of(cls, status: os.stat_result) -> _State:
        """That of a file's status."""
        return cls(status.st_size, status.st_mtime_ns, (status.st_dev, status.st_ino))


def _state(path: Path) -> _State | None:
    with suppress(OSError):
        return _State.of(path.stat())
    return None


def _read(path: Path, may_be_pipe: bool) -> tuple[ReportFile, _State | None]:
    """Returns the file, and its state after it was read; None of what is no file on a disk."""
    try:
        if path == STDIN:
            return _collected(path, _Pipe(sys.stdin.fileno())), None
        if may_be_pipe and stat.S_ISFIFO(path.stat().st_mode):
            # Not to hang in a named pipe that nobody has opened.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb", buffering=0):
                return _collected(path, _Pipe(descriptor)), None
        with open_file(path) as file:
            before = _State.of(os.fstat(file.fileno()))
            report = _collected(path, file)
            after = os.fstat(file.fileno())
    except (OSError, io.UnsupportedOperation) as error:
        words = getattr(error, "strerror", None) or str(error)
        return ReportFile(path, trouble=words, trouble_kind="unreadable"), None
    report = replace(report, modified=datetime.fromtimestamp(after.st_mtime, UTC), size=after.st_size)
    state = _State.of(after)
    return report, replace(state, is_stable=state == before)


def _collected(path: Path, source: Readable) -> ReportFile:
    reader = CaseReader()
    cases = tuple(reader.cases(source))
    return ReportFile(
        path,
        () if reader.trouble_kind == "refused" else cases,
        reader.trouble,
        reader.trouble_kind,
        reader.runner,
        reader.declared,
        reader.suites,
        tuple(reader.empty_suites),
        moment(reader.first_began),
        moment(reader.last_began),
        anomalies=tuple(reader.anomalies),
    )


def moment(text: str) -> datetime | None:
    """A suite's timestamp; None if it is none, or says no zone, as Jest's."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


class _Pipe:
    """A pipe, read until its writers close it. Raises OSError if nobody writes for long."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        if os.isatty(descriptor):
            raise OSError("it is a terminal")

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; none at the end."""
        if not select.select([self._descriptor], [], [], _LONGEST_SILENCE_S)[0]:
            raise OSError(f"nobody has written into it for {_LONGEST_SILENCE_S:.0f} s")
        return os.read(self._descriptor, size)
