"""The account that a server runs as: PostgreSQL refuses root, so root hands it to `nobody`."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """An account without privileges that isn't ours."""

    uid: int
    gid: int

    def can_read(self, path: Path) -> bool:
        """Whether the permission bits let the account read a file, or list a directory."""
        return self._may(path, stat.S_IRUSR, stat.S_IRGRP, stat.S_IROTH)

    def can_pass(self, directory: Path) -> bool:
        """Whether the account may pass through a directory and all that are above it."""
        return all(
            self._may(folder, stat.S_IXUSR, stat.S_IXGRP, stat.S_IXOTH)
            for folder in (directory, *directory.parents)
        )

    def _may(self, path: Path, as_owner: int, as_group: int, as_other: int) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & as_owner)
        if status.st_gid == self.gid:
            return bool(status.st_mode & as_group)
        return bool(status.st_mode & as_other)


def server_account() -> ServerAccount | None:
    """The account for a server that we start: None for our own, `nobody` if we are root."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise ConfigurationError(
            "PostgreSQL doesn't run as root, and there is no account 'nobody': run as an ordinary user"
        ) from None
    return ServerAccount(entry.pw_uid, entry.pw_gid)
