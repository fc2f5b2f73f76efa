"""Tids, places of rows, as numbers: block number and offset (ItemPointerData), as the wire has them.

A sweep has millions of them, so they are read and written as binary values, column by column, without a
step of Python for each.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence

from psycopg import Connection
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.rows import Row
from psycopg.types.numeric import OidBinaryLoader
from psycopg.types.string import ByteaBinaryLoader

# tid, xid, tid[]: src/include/catalog/pg_type.dat
_TID, _XID, _TIDS = 27, 28, 1010
_LENGTH = 6
_BEFORE_EACH = struct.pack("!i", _LENGTH)
_ELEMENT = len(_BEFORE_EACH) + _LENGTH
# What makes a number of 8 bytes of each tid: see `read_tids`.
_UNUSED = 8 - _LENGTH
BETWEEN_TIDS = "pg_catalog.decode('%s', 'hex')" % ("00" * _UNUSED)
"""The separator of tids that are put together to one value, as SQL."""


class Tids:
    """Tids to bind as an array."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers


class _TidsDumper(Dumper):
    """Dumps tids as array_recv reads them (src/backend/utils/adt/arrayfuncs.c): one dimension from 1 on, no
    NULLs."""

    format = Format.BINARY
    oid = _TIDS

    def dump(self, obj: Tids) -> bytes:
        if not obj.numbers:
            return struct.pack("!iii", 0, 0, _TID)
        head = struct.pack("!iiiii", 1, 0, _TID, len(obj.numbers), 1)
        numbers = array("Q", obj.numbers)
        _swap(numbers)
        raw = numbers.tobytes()
        elements = bytearray((_BEFORE_EACH + bytes(_LENGTH)) * len(obj.numbers))
        for place in range(_LENGTH):
            elements[len(_BEFORE_EACH) + place :: _ELEMENT] = raw[_UNUSED + place :: 8]
        return head + bytes(elements)


def read_tids(raw: bytes | None) -> array[int]:
    """Tids that the server put together, with `BETWEEN_TIDS`; of none, NULL."""
    return _read("Q", None if raw is None else bytes(_UNUSED) + raw)


def read_four(raw: bytes | None) -> array[int]:
    """Numbers of four bytes (int4, oid, xid) that the server put together; of none, NULL."""
    return _read("I", raw)


def read_eight(raw: bytes | None) -> array[int]:
    """Numbers of eight bytes (int8) that the server put together, none of them below 0; of none, NULL."""
    return _read("Q", raw)


def _read(kind: str, raw: bytes | None) -> array[int]:
    found = array(kind)
    if raw is not None:
        found.frombytes(raw)
        _swap(found)
    return found


def _swap(numbers: array[int]) -> None:
    """Swaps the order of bytes between the wire's and this machine's."""
    if sys.byteorder == "little":
        numbers.byteswap()


def literal(tids: Sequence[int]) -> str:
    """Returns tids as text, for a statement without parameters."""
    return "{" + ",".join([f'"({tid >> 16},{tid & 65535})"' for tid in tids]) + "}"


def read_and_write_tids(connection: Connection[Row]) -> None:
    """Has cursors that read binary values read tids as 6 bytes and xmin as a number, and bind `Tids`."""
    # Not of each cursor: that would copy what all types are read by.
    adapters = connection.adapters
    if adapters.get_loader(_XID, Format.BINARY) is not OidBinaryLoader:
        adapters.register_loader(_TID, ByteaBinaryLoader)
        adapters.register_loader(_XID, OidBinaryLoader)
        adapters.register_dumper(Tids, _TidsDumper)
