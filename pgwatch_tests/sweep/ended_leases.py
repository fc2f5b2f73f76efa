"""Ended leases, which owners gave back: a sweep deletes their data even if it is young.

That a lease isn't held doesn't tell that its owner is done: a connection may be lost while the suite goes on,
and workers outlive a controller that is killed. So only the owner's word counts, given as it frees the lease,
and only for what was written before, by the server's clock. Whatever else there is has to reach its age.

The word is kept on the machine of the owner, in files of a day each: a line appended takes no lock and waits
for nobody. It names the server by its start, so that no other one, nor a restarted one, is taken for it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_KEPT_DAYS = 7
_DAY = re.compile(r"\d{4}-\d\d-\d\d\.jsonl")
_RUN = re.compile(r"run:([0-9a-f]{8})")
_MOST = 500  # per sweep: its statements name each


@dataclass(frozen=True, slots=True)
class EndedLease:
    """A lease that its owner gave back."""

    name: str
    server_started: datetime
    """When the server was started that it was held on: what tells servers apart."""
    ended_at: datetime
    """The time of the end, by the server's clock."""

    @property
    def run(self) -> str | None:
        """The run's id, 8 hex digits, if it was the lease of one."""
        found = _RUN.fullmatch(self.name)
        return None if found is None else found[1]


def note_end(ended: EndedLease) -> None:
    """Keeps it, as well as it can: a suite doesn't fail because its home can't be written."""
    fields = {
        "name": ended.name,
        "server_started": ended.server_started.isoformat(),
        "ended_at": ended.ended_at.isoformat(),
    }
    # RuntimeError: an account without a home.
    with suppress(OSError, RuntimeError):
        place = _place()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        _forget_old(place)
        file = place / f"{datetime.now(UTC):%Y-%m-%d}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(file, flags, 0o600)
        try:
            # It begins a line: what a full disk cut short before it doesn't spoil this one.
            os.write(descriptor, f"\n{json.dumps(fields)}\n".encode())
        finally:
            os.close(descriptor)


def noted_ends() -> tuple[EndedLease, ...]:
    """All that are kept; what can't be read isn't."""
    found: list[EndedLease] = []
    with suppress(OSError, RuntimeError):
        for file in _files(_place()):
            found += filter(None, map(_parsed, file.read_bytes().splitlines()))
    return tuple(found)


def ends_that_matter(
    ends: Iterable[EndedLease], server_started: datetime, now: datetime, min_age_s: float
) -> tuple[EndedLease, ...]:
    """The last end of each lease of a server, if what was written before may still be too young. Pure.

    `now` is by the server's clock.
    """
    last: dict[str, EndedLease] = {}
    for one in sorted(ends, key=lambda one: one.ended_at):
        if one.server_started == server_started and 0 <= (now - one.ended_at).total_seconds() <= min_age_s:
            last[one.name] = one
    return tuple(sorted(last.values(), key=lambda one: one.ended_at))[-_MOST:]


def _place() -> Path:
    # A suite that imports us has no need of it until a lease ends.
    import platformdirs

    return platformdirs.user_state_path("pgwatch-tests") / "leases"


def _files(place: Path) -> Iterator[Path]:
    return (file for file in sorted(place.iterdir()) if _DAY.fullmatch(file.name))


def _forget_old(place: Path) -> None:
    for file in list(_files(place))[:-_KEPT_DAYS]:
        file.unlink(missing_ok=True)


def _parsed(line: bytes) -> EndedLease | None:
    try:
        fields = json.loads(line)
        if not isinstance(fields, dict):
            return None
        name, *times = (fields[key] for key in ("name", "server_started", "ended_at"))
        server_started, ended_at = map(datetime.fromisoformat, times)
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(name, str) or server_started.tzinfo is None or ended_at.tzinfo is None:
        return None
    return EndedLease(name, server_started, ended_at)
