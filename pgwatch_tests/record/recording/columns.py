"""Columns of numbers as bytes that compress well: narrow, with the bytes of each rank together. Pure.

The high bytes of most columns are all zero, and zlib makes next to nothing of them.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence

_TYPES = "bhiq"  # 1, 2, 4 and 8 bytes, signed
_HEAD = 5


def pack(column: Sequence[int]) -> bytes:
    """Returns the column as bytes. Raises OverflowError beyond 64 bits."""
    least, most = (min(column), max(column)) if column else (0, 0)
    kind = next(
        (
            kind
            for kind in _TYPES
            if -(1 << (width := 8 * array(kind).itemsize - 1)) <= least and most < 1 << width
        ),
        _TYPES[-1],
    )
    numbers = array(kind, column)
    if sys.byteorder == "big":
        numbers.byteswap()
    raw, width = numbers.tobytes(), numbers.itemsize
    planes = b"".join(raw[rank::width] for rank in range(width))
    return bytes([_TYPES.index(kind)]) + len(column).to_bytes(_HEAD - 1, "little") + planes


def unpack(packed: bytes, start: int = 0) -> tuple[list[int], int]:
    """Returns the column that begins at `start`, and where the next one does. Raises ValueError."""
    if start + _HEAD > len(packed) or packed[start] >= len(_TYPES):
        raise ValueError("a column is cut off")
    numbers = array(_TYPES[packed[start]])
    width = numbers.itemsize
    length = int.from_bytes(packed[start + 1 : start + _HEAD], "little")
    begin = start + _HEAD
    end = begin + length * width
    if end > len(packed):
        raise ValueError("a column is cut off")
    raw = bytearray(length * width)
    for rank in range(width):
        raw[rank::width] = packed[begin + rank * length : begin + (rank + 1) * length]
    numbers.frombytes(bytes(raw))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist(), end
