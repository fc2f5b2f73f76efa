"""Places of rows on their way to the server and back, many as one value."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.tids import (
    BETWEEN_TIDS,
    Tids,
    literal,
    read_and_write_tids,
    read_eight,
    read_four,
    read_tids,
)

# Block numbers of all lengths up to MaxBlockNumber, offsets up to the largest there is (itemptr.h, off.h).
PLACES = [1, (1 << 16) + 2, (0x1FF << 16) + 0x101, (0x10203 << 16) + 291, (0xFFFFFFFE << 16) + 0xFFFF]


def test_tids_go_there_and_back(owner: Connection[TupleRow]) -> None:
    read_and_write_tids(owner)
    with owner.cursor(binary=True) as cursor:
        for tids in ([], PLACES[:1], PLACES):
            asked = "SELECT pg_catalog.string_agg(pg_catalog.tidsend(tid), %s), count(*) FROM unnest(%%s) tid"
            found = cursor.execute((asked % BETWEEN_TIDS).encode(), [Tids(tids)]).fetchone()
            assert found is not None
            assert (list(read_tids(found[0])), found[1]) == (tids, len(tids))
            same = cursor.execute("SELECT %s::tid[] = %s::tid[]", [Tids(tids), literal(tids)]).fetchone()
            assert same == (True,)


def test_numbers_are_read_as_the_server_sends_them(owner: Connection[TupleRow]) -> None:
    four, eight = [0, 1, 0x10203, 0x7FFFFFFF], [0, 1, 0x102030405, 0x7FFFFFFFFFFFFFFF]
    with owner.cursor(binary=True) as cursor:
        found = cursor.execute(
            "SELECT (SELECT string_agg(int4send(n), '' ORDER BY n) FROM unnest(%s::int4[]) AS n), "
            "(SELECT string_agg(int8send(n), '' ORDER BY n) FROM unnest(%s::int8[]) AS n), xidsend(%s::xid)",
            [four, eight, str(0xFFFFFFFE)],
        ).fetchone()
    assert found is not None
    assert (list(read_four(found[0])), list(read_eight(found[1]))) == (four, eight)
    assert list(read_four(found[2])) == [0xFFFFFFFE]
