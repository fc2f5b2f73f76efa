"""Content of tables at a baseline: a hash per row, and how many rows were lost or changed since. Pure."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace

MOST_ROWS = 100_000
"""The rows per table whose hashes are kept; of larger tables, the number and one hash of all rows."""
MOST_ROWS_OF_ALL = 1_000_000
"""The rows whose hashes are kept in all: about 20 MB of a file."""


@dataclass(frozen=True, slots=True)
class TableContent:
    """The rows that a table had at a baseline. Names are as people see them."""

    oid: int
    schema: str
    table: str
    columns: tuple[tuple[str, str], ...] = ()
    """Name and type of each column that the hash of a row is made of."""
    key: tuple[str, ...] = ()
    """The primary key; empty if there is none."""
    rows: int = 0
    total: int = 0
    """The sum of the rows' hashes: the same for the same rows in any order."""
    hashes: str | None = None
    """The hash of each row, after that of its key if there is one: signed 64 bits, big-endian, in base64.

    None if there are too many.
    """
    unread: str = ""
    """Why its rows weren't read; empty if they were."""

    @property
    def name(self) -> str:
        """`public.countries`."""
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True)
class Loss:
    """Rows of a table that are gone, changed, or one of both: how many."""

    gone: int = 0
    changed: int | None = 0
    """None if it can't be told."""
    either: int = 0
    example: str = ""
    """The key of a row that changed."""

    def __bool__(self) -> bool:
        return bool(self.gone or self.changed or self.either)


def row_hashes(content: TableContent) -> list[tuple[int, int]]:
    """Returns the hash of each row's key (the row's without a key) and of the row.

    Raises ValueError if damaged.
    """
    raw = base64.b64decode(content.hashes or "", validate=True)
    numbers = [number for (number,) in struct.iter_unpack(">q", raw)]
    found = list(zip(numbers[::2], numbers[1::2], strict=True)) if content.key else [(n, n) for n in numbers]
    if len(found) != content.rows or sum(row for _, row in found) != content.total:
        raise ValueError("the hashes aren't those of the rows")
    return found


def packed(hashes: bytes, with_keys: bool) -> str:
    """The hashes as a baseline keeps them: sorted, so that the same rows give the same text."""
    width = 16 if with_keys else 8
    rows = sorted(hashes[start : start + width] for start in range(0, len(hashes), width))
    return base64.b64encode(b"".join(rows)).decode("ascii")


def within_limit(contents: Iterable[TableContent]) -> tuple[TableContent, ...]:
    """Returns the contents without the hashes of the largest tables, if there would be too many."""
    contents = tuple(contents)
    kept, left = set(), MOST_ROWS_OF_ALL
    for one in sorted(contents, key=lambda one: one.rows):
        left -= one.rows
        if left >= 0:
            kept.add(one.oid)
    return tuple(one if one.oid in kept else replace(one, hashes=None) for one in contents)


def lost(content: TableContent, loss: Loss) -> str:
    """`3 of 250 rows are gone, 1 changed`, `all 250 rows are gone`, `4 of 250 rows are gone or changed`."""
    if loss.either:
        return f"{_of(loss.either, content.rows)} gone or changed"
    parts = []
    if loss.gone:
        parts.append(f"{_of(loss.gone, content.rows)} gone")
    if loss.changed:
        such = f" (such as {loss.example})" if loss.example else ""
        parts.append(
            f"{loss.changed:,} changed{such}" if parts else f"{_of(loss.changed, content.rows)} changed{such}"
        )
    return ", ".join(parts)


def _of(number: int, rows: int) -> str:
    if number == rows:
        return "its only row is" if rows == 1 else f"all {rows:,} rows are"
    return f"{number:,} of {rows:,} rows {'is' if number == 1 else 'are'}"
