"""Strings of the history, each kept once, and sets of tests: what thousands of runs have in common."""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate, pairwise
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from pgwatch_tests.history.column_types import storable
from pgwatch_tests.history.layout import is_postgresql
from pgwatch_tests.history.tables import STRINGS, TEST_SETS
from pgwatch_tests.text.plain_text import shortened_middle

_LONGEST = 1_000  # characters
AT_ONCE = 500
"""Values for one statement: an older SQLite takes 999 parameters (its manual, Implementation Limits)."""
T = TypeVar("T")


def digest(*parts: object) -> bytes:
    """16 bytes that tell these parts from any others."""
    return blake2b(repr(parts).encode(), digest_size=16).digest()


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Inserts the rows that aren't there, as the table's unique columns see it; returns how many.

    It needs INSERT and SELECT only. Writers that insert the same rows wait for each other, and must have them
    in one order.
    """
    inserted = 0
    for some in portions(rows, AT_ONCE // len(rows[0]) if rows else 1):
        dialect = postgresql if is_postgresql(connection) else sqlite
        statement = dialect.insert(table).values(list(some)).on_conflict_do_nothing()
        # SQLAlchemy forgets the number of inserted rows unless it is told not to.
        kept_number = connection.execute(statement, execution_options={"preserve_rowcount": True})
        inserted += kept_number.rowcount
    return inserted


def kept(text: str) -> str:
    """The text as it is kept: without what no store takes, and if it is long, cut in its middle."""
    return storable(shortened_middle(text, _LONGEST))


def string_numbers(connection: Connection, texts: Iterable[str]) -> Mapping[str, int]:
    """Returns the number of each text, which is kept if it isn't yet. They are as `kept` returns them."""
    digests = {text: digest(text) for text in set(texts)}
    numbers = _known(connection, STRINGS, digests.values())
    missing = {one: text for text, one in digests.items() if one not in numbers}
    if missing:
        insert_new(connection, STRINGS, [{"digest": one, "text": missing[one]} for one in sorted(missing)])
        numbers |= _known(connection, STRINGS, missing)
    return {text: numbers[one] for text, one in digests.items()}


def named(column: ColumnElement[int], pattern: str) -> ColumnElement[bool]:
    """The condition that the column's string matches: `*` stands for anything, `?` for one character.

    A pattern without them is a part of a name. The case of letters is ignored.
    """
    if not {"*", "?"} & set(pattern):
        pattern = f"*{pattern}*"
    wild = {"*": "%", "?": "_", "%": "\\%", "_": "\\_", "\\": "\\\\"}
    like = "".join(wild.get(character, character) for character in pattern)
    return column.in_(select(STRINGS.c.id).where(STRINGS.c.text.ilike(like, escape="\\")))


def texts_of(connection: Connection, numbers: Collection[int]) -> dict[int, str]:
    """Returns the texts of these numbers."""
    texts: dict[int, str] = {}
    for some in portions(sorted(set(numbers)), AT_ONCE):
        query = select(STRINGS.c.id, STRINGS.c.text).where(STRINGS.c.id.in_(some))
        texts.update((number, text) for number, text in connection.execute(query))
    return texts


def test_set_number(connection: Connection, tests: Collection[int]) -> int:
    """Returns the number of a set of tests, by the numbers of their names; it is kept if it isn't yet."""
    content = packed(tests)
    key = digest(content)
    known = _known(connection, TEST_SETS, [key])
    if not known:
        insert_new(connection, TEST_SETS, [{"digest": key, "tests": content}])
        known = _known(connection, TEST_SETS, [key])
    return known[key]


def packed(numbers: Collection[int]) -> bytes:
    """Returns numbers up to 2**32 in few bytes: the differences between neighbours, compressed."""
    ordered = sorted(set(numbers))
    differences = array("I", ordered[:1])
    differences.extend(after - before for before, after in pairwise(ordered))
    return zlib.compress(_little_endian(differences).tobytes())


def unpacked(content: bytes) -> list[int]:
    """Returns the numbers that `packed` has packed, in order. Raises ValueError for anything else."""
    differences = array("I")
    try:
        differences.frombytes(zlib.decompress(content))
    except zlib.error as error:
        raise ValueError(str(error)) from None
    return list(accumulate(_little_endian(differences)))


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _known(connection: Connection, table: Table, digests: Iterable[bytes]) -> dict[bytes, int]:
    """The numbers of the rows that have one of these digests."""
    found: dict[bytes, int] = {}
    for some in portions(list(digests), AT_ONCE):
        query = select(table.c.digest, table.c.id).where(table.c.digest.in_(some))
        found.update((bytes(one), number) for one, number in connection.execute(query))
    return found


def portions(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """Returns the items in portions of at most so many."""
    for start in range(0, len(items), most):
        yield items[start : start + most]
