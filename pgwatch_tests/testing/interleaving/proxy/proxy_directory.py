"""The directory of a proxy's sockets: its user's own; another proxy removes it if its process is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from pgwatch_tests.embedded.socket_directory import can_hold_socket

_PREFIX, _NEW = "pgwatch-proxy-", "pgwatch-new-proxy-"
_ALIVE = "alive"
"""The file that a living proxy has locked."""


def new_directory() -> tuple[Path, int]:
    """Returns the directory, and the descriptor of its file that is locked as long as the process lives."""
    made = Path(tempfile.mkdtemp(prefix=_NEW, dir=_base()))
    alive = os.open(made / _ALIVE, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(alive, fcntl.LOCK_EX)
    # Only now: whoever looks for left ones must not find it without its lock.
    return made.rename(made.with_name(made.name.replace(_NEW, _PREFIX))), alive


def remove_left_directories() -> None:
    """Removes directories of proxies whose processes were killed."""
    for directory in _base().glob(f"{_PREFIX}*"):
        with suppress(OSError):
            alive = os.open(directory / _ALIVE, os.O_RDWR)
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
            finally:
                os.close(alive)


def _base() -> Path:
    """The directory for temporary files; /tmp where no socket can be below that."""
    base = Path(tempfile.gettempdir())
    # mkdtemp adds eight letters; each actor has a directory of one more.
    return base if can_hold_socket(base / f"{_PREFIX}{'x' * 8}" / "A") else Path("/tmp")
