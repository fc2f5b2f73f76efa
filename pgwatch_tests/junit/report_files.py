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

from pgwatch_tests.identity.junit_cases import Anomaly, JUnitCase, Runner
from pgwatch_tests.identity.junit_reader import CaseReader, Readable

GivenAs = Literal["name", "pattern", "directory"]
"""How somebody has asked for a file; `directory` for one above it."""
TroubleKind = Literal["", "empty", "torn", "refused", "unreadable", "growing"]

STDIN = Path("-")
_LONGEST_SILENCE_S = 30.0
"""A pipe that nobody writes into for so long is given up."""
_READ_ANEW_AFTER_S = 0.25
_DEEPEST = 10
_SKIPPED = frozenset({"node_modules", "__pycache__"})


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
    """Returns the files of names, patterns and directories, each once, and the arguments without any.

    Of a directory, it is all files below that end in `.xml`.
    """
    found: dict[str, GivenFile] = {}
    nothing: list[str] = []
    for argument in arguments:
        those = list(_matching(argument))
        if not those:
            nothing.append(str(argument))
        for one in those:
            found.setdefault(str(one.path) if one.path == STDIN else os.path.realpath(one.path), one)
    return list(found.values()), nothing


def _matching(argument: Path) -> Iterator[GivenFile]:
    if argument == STDIN:
        yield GivenFile(STDIN, Path())
    elif is_directory(argument):
        for path in files_below(argument, ".xml"):
            yield GivenFile(path, argument, "directory")
    elif os.path.lexists(argument) or not set("*?[") & set(str(argument)):
        if os.path.lexists(argument):
            yield GivenFile(argument, argument.parent)
    else:
        yield from _globbed(argument)


def is_directory(path: Path) -> bool:
    """Whether it is a directory; not below a closed one, where `Path.is_dir` raises."""
    with suppress(OSError):
        return stat.S_ISDIR(path.stat().st_mode)
    return False


def fixed_part(pattern: Path) -> Path:
    """The directories of a pattern before its first part that may stand for several."""
    parts = pattern.parts
    fixed = next((place for place, part in enumerate(parts) if set("*?[") & set(part)), len(parts))
    return Path(*parts[:fixed])


def _globbed(pattern: Path) -> Iterator[GivenFile]:
    base = fixed_part(pattern)
    with suppress(OSError, ValueError, NotImplementedError):
        for path in sorted(base.glob(str(pattern.relative_to(base)))):
            if path.is_file() and not _SKIPPED & set(path.parts):
                yield GivenFile(path, base, "pattern")


def files_below(directory: Path, *ends: str, deepest: int = _DEEPEST) -> Iterator[Path]:
    """Yields the files in a directory and below whose names end so; links to directories aren't followed."""
    with suppress(OSError):
        for entry in sorted(os.scandir(directory), key=lambda one: one.name):
            if entry.is_dir(follow_symlinks=False):
                if deepest and entry.name not in _SKIPPED:
                    yield from files_below(directory / entry.name, *ends, deepest=deepest - 1)
            elif entry.name.endswith(ends) and entry.is_file():
                yield directory / entry.name


def read_report_file(
    path: Path, *, may_be_pipe: bool = False, sleep: Callable[[float], None] = time.sleep
) -> ReportFile:
    """Reads one file; what can't be read is told in `trouble`, never raised.

    One that changes meanwhile is read once more; if it still changes, it is `growing`.
    """
    report, is_stable = _read(path, may_be_pipe)
    if not is_stable:
        sleep(_READ_ANEW_AFTER_S)
        report, is_stable = _read(path, may_be_pipe)
    if is_stable:
        return report
    return replace(report, trouble="it is still being written", trouble_kind="growing")


def _read(path: Path, may_be_pipe: bool) -> tuple[ReportFile, bool]:
    """Returns the file, and whether it stayed as it was while it was read."""
    try:
        if path == STDIN:
            return _collected(path, _Pipe(sys.stdin.fileno())), True
        # Not to hang in a named pipe that nobody has opened.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            before = os.fstat(descriptor)
            if may_be_pipe and stat.S_ISFIFO(before.st_mode):
                return _collected(path, _Pipe(descriptor)), True
            if not stat.S_ISREG(before.st_mode):
                raise OSError("it is no file")
            report = _collected(path, file)
            after = os.fstat(descriptor)
    except (OSError, io.UnsupportedOperation) as error:
        return ReportFile(
            path, trouble=getattr(error, "strerror", None) or str(error), trouble_kind="unreadable"
        ), True
    report = replace(report, modified=datetime.fromtimestamp(after.st_mtime, UTC), size=after.st_size)
    return report, (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


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
