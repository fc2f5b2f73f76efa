"""Temporary directories of runs' logs: held while a process of the run lives, and removed after it.

Each process of a run holds the directory by a shared lock (flock), which ends with the process, also by
kill -9. The controller removes it in the end. What a killed one leaves, the next run of this user takes:
whoever gets the lock for itself alone knows that nobody of that run is left.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

_PREFIX = "pgwatch-run-"
_NAME = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")
_ATTEMPTS = 5
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_log_directory() -> tuple[Path, int | None]:
    """Makes a directory that only this user can read; returns it, and the descriptor that holds it.

    The descriptor is None where locks can't be had: then nobody else gets one either. Raises OSError if no
    directory can be made.
    """
    for _ in range(_ATTEMPTS):
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX)).absolute()
        try:
            held = _locked(directory, alone=False)
        except (BlockingIOError, FileNotFoundError):
            continue  # another run takes it for one that nobody holds
        except OSError:
            return directory, None
        if _is_still(directory, held):
            return directory, held
        os.close(held)
    raise OSError("other runs remove what is made for this one")


def hold_log_directory(directory: Path) -> int | None:
    """Holds the directory, too, until this process ends. None where locks can't be had."""
    with suppress(OSError):
        return _locked(directory, alone=False)
    return None


def remove_log_directory(directory: Path, held: int | None) -> None:
    """Removes the directory of a run that is over. Raises nothing."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _remove(directory, descriptor)
        finally:
            os.close(descriptor)
    if held is not None:
        with suppress(OSError):
            os.close(held)


def remove_ownerless_directories() -> list[Path]:
    """Removes directories of this user's runs of which no process is left; returns them. Raises nothing.

    Only such as a run makes, by name, owner and mode; what a link leads to isn't one.
    """
    removed: list[Path] = []
    with suppress(OSError):
        base = Path(tempfile.gettempdir()).absolute()
        for name in filter(_NAME.fullmatch, os.listdir(base)):  # noqa: PTH208 -- names only
            with suppress(OSError):
                directory = base / name
                held = _locked(directory, alone=True)
                try:
                    if _is_of_this_user(held) and _is_still(directory, held):
                        _remove(directory, held)
                        removed.append(directory)
                finally:
                    os.close(held)
    return removed


def _is_of_this_user(descriptor: int) -> bool:
    found = os.fstat(descriptor)
    return sys.platform != "win32" and found.st_uid == os.geteuid() and not found.st_mode & _OTHERS


def _remove(directory: Path, descriptor: int) -> None:
    """Removes its files, through the descriptor: wherever the name leads to by now. Then itself, if empty."""
    for name in os.listdir(descriptor):
        with suppress(OSError):
            os.unlink(name, dir_fd=descriptor)
    directory.rmdir()


def _locked(directory: Path, *, alone: bool) -> int:
    """Raises BlockingIOError if somebody else's lock is in the way, OSError for a link."""
    if sys.platform == "win32":
        raise OSError("no such locks here")
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_still(directory: Path, descriptor: int) -> bool:
    """Whether the name still leads to it, and not to one made since."""
    try:
        return os.path.samestat(directory.lstat(), os.fstat(descriptor))
    except OSError:
        return False
