"""Files that somebody names on the command line: opened without waiting, and found by pattern.

A named pipe waits for its writer for ever, and a device never ends: neither is opened. A pipe that the shell
has made (`--tests <(pytest --collect-only -q)`, `/dev/stdin`) has its writer already.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader, TextIOWrapper
from pathlib import Path

SKIPPED = frozenset({"node_modules", "__pycache__"})
"""Directories that hold other people's files, by name."""
_SHELLS_PIPES = (Path("/dev"), Path("/proc"))
_KINDS = (
    (stat.S_ISFIFO, "it is a named pipe, not a file"),
    (stat.S_ISSOCK, "it is a socket, not a file"),
    (stat.S_ISCHR, "it is a device, not a file"),
    (stat.S_ISBLK, "it is a device, not a file"),
)
_WILDCARDS = frozenset("*?[")
_DEEPEST = 10


def open_file(path: Path) -> BufferedReader:
    """Opens a regular file, or a pipe that the shell has made. Raises OSError for anything else."""
    # Before it is opened: that alone would let go on whoever waits to write into a named pipe.
    _check(path, path.stat().st_mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(path, os.fstat(descriptor).st_mode)
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def read_bytes(path: Path) -> bytes:
    """Returns what is in a file. Raises OSError as `open_file`."""
    with open_file(path) as file:
        return file.read()


def read_text(path: Path, errors: str = "strict") -> str:
    """Returns a file of UTF-8, its line ends as `\\n`. Raises OSError, and UnicodeDecodeError."""
    with open_file(path) as file, TextIOWrapper(file, "utf-8", errors) as text:
        return text.read()


def _check(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        os.scandir(path).close()  # raises what keeps us out
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISFIFO(mode) and any(path.is_relative_to(place) for place in _SHELLS_PIPES):
        return
    for is_kind, words in _KINDS:
        if is_kind(mode):
            raise OSError(errno.EINVAL, words)


def is_directory(path: Path) -> bool:
    """Whether it is a directory; not below a closed one, where `Path.is_dir` raises."""
    with suppress(OSError):
        return stat.S_ISDIR(path.stat().st_mode)
    return False


def is_pattern(path: Path) -> bool:
    """Whether it stands for the files that fit it: a file of that very name is meant itself."""
    return bool(_WILDCARDS & set(str(path))) and not os.path.lexists(path)


def fixed_part(pattern: Path) -> Path:
    """The directories of a pattern before its first part that may stand for several."""
    parts = pattern.parts
    fixed = next((place for place, part in enumerate(parts) if _WILDCARDS & set(part)), len(parts))
    return Path(*parts[:fixed])


def fitting(pattern: Path) -> list[Path]:
    """Returns the files and directories that fit a pattern, sorted; none of packages that are installed."""
    base = fixed_part(pattern)
    found: list[Path] = []
    with suppress(OSError, ValueError, NotImplementedError):
        for path in base.glob(str(pattern.relative_to(base))):
            if not SKIPPED & set(path.relative_to(base).parts):
                found.append(path)
    return sorted(found)


def fitting_files(pattern: Path) -> list[Path]:
    """Returns the files that fit a pattern, sorted."""
    return [path for path in fitting(pattern) if _is_file(path)]


def closed_directories(path: Path) -> list[Path]:
    """Returns the directories that can't be looked into, where a file of that name or pattern may be.

    Below a `**`, none is looked for.
    """
    base = fixed_part(path)
    above = [one for one in reversed(base.parents) if is_directory(one) and not _permits(one, os.X_OK)]
    parts = path.relative_to(base).parts
    if above or not parts:
        return above[:1]
    closed = [] if _is_open(base, parts[0]) else [base]
    for depth in range(1, len(parts)):
        if "**" in parts[:depth]:
            break
        closed += [one for one in fitting(base.joinpath(*parts[:depth])) if not _is_open(one, parts[depth])]
    return closed


def _is_open(path: Path, part: str) -> bool:
    """Whether what fits the next part of a pattern can be found in a directory, if it is one."""
    needed = os.R_OK | os.X_OK if _WILDCARDS & set(part) else os.X_OK
    return not is_directory(path) or _permits(path, needed)


def _permits(path: Path, needed: int) -> bool:
    return os.access(path, needed, effective_ids=os.access in os.supports_effective_ids)


def _is_file(path: Path) -> bool:
    with suppress(OSError):
        return stat.S_ISREG(path.stat().st_mode)
    return False


def files_below(
    directory: Path, *ends: str, closed: list[Path] | None = None, deepest: int = _DEEPEST
) -> Iterator[Path]:
    """Yields the files in a directory and below whose names end so; links to directories aren't followed.

    Directories that can't be looked into are added to `closed`.
    """
    try:
        with os.scandir(directory) as entries:
            ordered = sorted(entries, key=lambda one: one.name)
    except OSError:
        if closed is not None:
            closed.append(directory)
        return
    for entry in ordered:
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                if deepest and entry.name not in SKIPPED:
                    yield from files_below(directory / entry.name, *ends, closed=closed, deepest=deepest - 1)
            elif entry.name.endswith(ends) and entry.is_file():
                yield directory / entry.name
