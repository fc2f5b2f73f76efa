"""A plan of `init`: files to write, what becomes of each, lines that people add themselves.

Each file but the list of suites begins with a line that has the kit's version and a hash of the rest. Where
the hash still fits, nobody has changed the file, and a newer kit may replace it; any other file is left
alone, unless it is forced. What a newer kit has written is left alone as well.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Literal

from pgwatch_tests.errors import ConfigurationError

KIT_VERSION = 1
"""Goes up with each change of a template."""

State = Literal["new", "current", "older", "newer", "changed"]
"""`older`, `newer`: as another version's `init` wrote it; `changed`: somebody has changed it, or it isn't the
kit's."""
_STAMP = re.compile(r"(?://|#) pgwatch-tests kit (\d+), ([0-9a-f]{16})\b.*")
_COMMENTS = {".yml": "#", ".py": "#", ".ini": "#"}


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file, with its whole text and what was there before (None: nothing)."""

    path: str
    """Relative to the root, with `/`."""
    text: str
    state: State
    before: str | None = None
    kit: int | None = None
    """The kit's version that the file there is of; None if it says none."""

    @property
    def is_outdated(self) -> bool:
        """Whether the file is missing, or of an older kit, whoever has changed it."""
        return self.state in ("new", "older") or (self.kit is not None and self.kit < KIT_VERSION)


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines to add by hand: where, and why."""

    place: str
    why: str
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `init` would do."""

    files: tuple[PlannedFile, ...]
    lines: tuple[Lines, ...] = ()

    def to_write(self, *, force: bool = False) -> tuple[PlannedFile, ...]:
        """Returns the files that are written."""
        states = ("new", "older", "newer", "changed") if force else ("new", "older")
        return tuple(one for one in self.files if one.state in states)


def stamped(path: str, body: str) -> str:
    """Returns a text with the line that tells whose it is."""
    comment = _COMMENTS.get(Path(path).suffix, "//")
    what = "written by `pgwatch-tests init`, which leaves it alone once it is changed"
    return f"{comment} pgwatch-tests kit {KIT_VERSION}, {_hash(body)}: {what}.\n{body}"


def planned(root: Path, path: str, text: str) -> PlannedFile:
    """Returns what becomes of a file.

    Raises ConfigurationError if what is there can't be read, or is reached by a link out of the root.
    """
    place = root / path
    if not place.parent.resolve().is_relative_to(root.resolve()):
        raise ConfigurationError(f"{path} would be outside of {root} by a link: init writes through none")
    try:
        # What a file has for line ends is Git's business, and no change.
        before = place.read_text(encoding="utf-8") if place.exists() or place.is_symlink() else None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from None
    if before is None:
        return PlannedFile(path, text, "new")
    first, _, body = before.partition("\n")
    stamp = _STAMP.fullmatch(first)
    kit = int(stamp[1]) if stamp else None
    if before == text:
        return PlannedFile(path, text, "current", before, kit)
    if stamp is None or kit is None or stamp[2] != _hash(body) or place.is_symlink():
        return PlannedFile(path, text, "changed", before, kit)
    return PlannedFile(path, text, "newer" if kit > KIT_VERSION else "older", before, kit)


def kept(root: Path, path: str, text: str) -> PlannedFile:
    """Returns what becomes of a file that is only ever written where there is none."""
    found = planned(root, path, text)
    return found if found.state == "new" else PlannedFile(path, found.before or "", "current", found.before)


def is_written(root: Path, path: str) -> bool:
    """Whether a file of the kit is there, changed or not."""
    try:
        with (root / path).open(encoding="utf-8", errors="replace") as file:
            return _STAMP.fullmatch(file.readline().rstrip("\n")) is not None
    except OSError:
        return False


def diff(files: Sequence[PlannedFile]) -> Iterator[str]:
    """Yields the lines of a unified diff of what would be written."""
    for one in files:
        before, name = ([], "/dev/null") if one.before is None else (one.before.splitlines(), f"a/{one.path}")
        yield from difflib.unified_diff(before, one.text.splitlines(), name, f"b/{one.path}", lineterm="")


def write(root: Path, files: Sequence[PlannedFile]) -> None:
    """Writes files, each in one step. Raises ConfigurationError; it writes through no link.

    A file that was there keeps its mode and its owner.
    """
    for one in files:
        if (root / one.path).is_symlink():
            raise ConfigurationError(f"{one.path} is a link: init writes through none")
    for one in files:
        try:
            _write_file(root / one.path, one.text)
        except OSError as error:
            raise ConfigurationError(f"cannot write {one.path}: {error.strerror}") from error


def _write_file(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.{token_hex(4)}")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        try:
            before = place.stat()
        except FileNotFoundError:
            pass
        else:
            if not _take_owner(beside, before):
                place.write_text(text, encoding="utf-8", newline="\n")
                return
            # After the owner, whose change takes set-user-id bits away.
            beside.chmod(stat.S_IMODE(before.st_mode))
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


def _take_owner(path: Path, before: os.stat_result) -> bool:
    """Gives a new file the owner and group of another. Returns whether it has them now."""
    new = path.stat()
    if (new.st_uid, new.st_gid) == (before.st_uid, before.st_gid):
        return True
    try:
        os.chown(path, before.st_uid, before.st_gid)
    except PermissionError:
        return False
    return True


def _hash(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", errors="surrogatepass")).hexdigest()[:16]
