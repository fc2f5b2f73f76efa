"""Places of rows as numbers: block number and offset (ItemPointerData), as the wire has them.

A sweep has millions of them, so they are read and written as binary values, without a call for each where
that can be.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from psycopg import Cursor
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.rows import TupleRow
from psycopg.types.numeric import OidBinaryLoader
from psycopg.types.string import ByteaBinaryLoader

# tid, xid, tid[]: src/include/catalog/pg_type.dat
_TID, _XID, _TIDS = 27, 28, 1010
_LENGTH = 6
_BEFORE_EACH = struct.pack("!i", _LENGTH)


class Tids:
    """What to bind as an array of tids."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers


class _TidsDumper(Dumper):
    """As array_recv reads it (src/backend/utils/adt/arrayfuncs.c): one dimension from 1 on, no NULLs."""

    format = Format.BINARY
    oid = _TIDS

    def dump(self, obj: Tids) -> bytes:
        if not obj.numbers:
            return struct.pack("!iii", 0, 0, _TID)
        head = struct.pack("!iiiii", 1, 0, _TID, len(obj.numbers), 1)
        return head + _BEFORE_EACH + _BEFORE_EACH.join([tid.to_bytes(_LENGTH) for tid in obj.numbers])


def numbers(raw: Iterable[bytes]) -> Iterable[int]:
    """Tids that such a cursor has read."""
    return map(int.from_bytes, raw)


def literal(tids: Sequence[int]) -> str:
    """The same as text, for a statement that has no parameters."""
    return "{" + ",".join([f'"({tid >> 16},{tid & 65535})"' for tid in tids]) + "}"


def read_and_write_tids(cursor: Cursor[TupleRow]) -> None:
    """Makes a cursor that reads binary values read tids as 6 bytes and xmin as a number, and bind `Tids`."""
    cursor.adapters.register_loader(_TID, ByteaBinaryLoader)
    cursor.adapters.register_loader(_XID, OidBinaryLoader)
    cursor.adapters.register_dumper(Tids, _TidsDumper)
