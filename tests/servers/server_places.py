"""Where the servers of tests keep their files: in memory, where there is room."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from pgwatch_tests.embedded.server import free_directory

_IN_MEMORY = Path("/dev/shm")
_ROOM = 4 * 1024**3
SHORT = Path("/tmp")
"""Where sockets are: the path of one has 107 bytes at most; a test's own directory may have a longer one."""


def base() -> Path:
    """A directory for data that lives for seconds.

    Each database is hundreds of files, and file systems on disks are slow at making files anew
    that were just deleted (ext4 avoids their inodes for minutes).
    """
    if os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free > _ROOM:
        return _IN_MEMORY
    return Path(tempfile.gettempdir())


def server_directory(prefix: str = "pgwatch-tests-") -> Path:
    """A path for a server of a test's own."""
    return free_directory(prefix, base())
