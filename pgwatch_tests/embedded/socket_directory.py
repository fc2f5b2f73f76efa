"""Directories for PostgreSQL's Unix sockets: neither the system nor libpq takes any path."""

from __future__ import annotations

import os
from pathlib import Path

SOCKET = ".s.PGSQL.5432"
"""The name of the socket by which libpq finds a server on its default port."""
_LONGEST = 103  # bytes, of the shortest sockaddr_un.sun_path (macOS); Linux has 107


def can_hold_socket(directory: Path) -> bool:
    """Whether a socket in `directory` can be bound, and be named in a connection string.

    libpq splits `host` at commas, by whatever they are escaped.
    """
    path = os.fsencode(directory / SOCKET)
    return len(path) <= _LONGEST and b"," not in path
