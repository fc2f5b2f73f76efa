"""Strings of the history, each kept once, and sets of tests: what thousands of runs have in common."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Table,
    bindparam,
    column,
    literal_column,
    select,
    true,
    values,
)
from sqlalchemy.dialects import postgresql, sqlite

from pgwatch_tests.history.column_types import storable
from pgwatch_tests.history.layout import is_postgresql
from pgwatch_tests.history.tables import STRINGS, TEST_SETS
from pgwatch_tests.text.plain_text import shortened_middle

_LONGEST = 1_000  # characters
AT_ONCE = 500
"""Values for one statement: an older SQLite takes 999 parameters (its manual, Implementation Limits)."""
_PAGE = 1024  # numbers
_HEAD = 4  # bytes
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


def named(number: ColumnElement[int], pattern: str) -> ColumnElement[bool]:
    """The condition that the number's string matches: `*` stands for anything, `?` for one character.

    A pattern without them is a part of a name. The case of letters is ignored.
    """
    if not {"*", "?"} & set(pattern):
        pattern = f"*{pattern}*"
    wild = {"*": "%", "?": "_", "%": "\\%", "_": "\\_", "\\": "\\\\"}
    like = "".join(wild.get(character, character) for character in pattern)
    return number.in_(select(STRINGS.c.id).where(STRINGS.c.text.ilike(like, escape="\\")))


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
    """Returns numbers up to 2**42 in few bytes: a bit for each, in pages of neighbours, compressed."""
    pages: defaultdict[int, int] = defaultdict(int)
    for number in numbers:
        pages[number // _PAGE] |= 1 << number % _PAGE
    ordered = sorted(pages.items())
    heads = b"".join(page.to_bytes(_HEAD, "little") for page, _ in ordered)
    return zlib.compress(heads + b"".join(bits.to_bytes(_PAGE // 8, "little") for _, bits in ordered))


def unpacked(content: bytes) -> list[int]:
    """Returns the numbers that `packed` has packed, in order. Raises ValueError for anything else."""
    numbers: list[int] = []
    for head, page in _pages(content):
        first, bits = int.from_bytes(head, "little") * _PAGE, int.from_bytes(page, "little")
        numbers += [first + place for place in range(_PAGE) if bits >> place & 1]
    return numbers


class Sought:
    """Numbers that are looked for in many packed sets."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._wanted: defaultdict[bytes, list[tuple[int, int]]] = defaultdict(list)
        for number in numbers:
            head = (number // _PAGE).to_bytes(_HEAD, "little")
            self._wanted[head].append((1 << number % _PAGE, number))

    def among(self, content: bytes) -> list[int]:
        """Returns those of them that are in what `packed` returned. Raises ValueError for anything else."""
        found: list[int] = []
        for head, page in _pages(content):
            if wanted := self._wanted.get(head):
                bits = int.from_bytes(page, "little")
                found += [number for bit, number in wanted if bits & bit]
        return found


def _pages(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The pages of a packed set: which one it is, and its bits."""
    try:
        body = zlib.decompress(content)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    size = _PAGE // 8
    pages, rest = divmod(len(body), _HEAD + size)
    if rest:
        raise ValueError("no whole pages")
    for place in range(pages):
        begin = pages * _HEAD + place * size
        yield body[place * _HEAD : (place + 1) * _HEAD], body[begin : begin + size]


def _known(connection: Connection, table: Table, digests: Iterable[bytes]) -> dict[bytes, int]:
    """The numbers of the rows that have one of these digests."""
    found: dict[bytes, int] = {}
    for some in portions(list(digests), AT_ONCE):
        query = select(table.c.digest, table.c.id).where(table.c.digest.in_(some))
        found.update((bytes(one), number) for one, number in connection.execute(query))
    return found


def read_each(
    connection: Connection,
    query: Callable[..., Select[*tuple[Any, ...]]],
    asked: Sequence[tuple[int, ...]],
) -> list[list[Sequence[Any]]]:
    """Returns the rows that a query finds for each of these tuples of numbers.

    `query` takes an expression for each number. What is of one thing is in one place of an index, in order:
    a query for many things at once would sort it all.
    """
    found: list[list[Sequence[Any]]] = [[] for _ in asked]
    if not asked:
        return found
    names = [f"number_{place}" for place in range(len(asked[0]))]
    if not is_postgresql(connection):  # no LATERAL, but no way to a server either
        statement = query(*(bindparam(name, type_=BigInteger) for name in names))
        for rows, numbers in zip(found, asked, strict=True):
            rows += connection.execute(statement, dict(zip(names, numbers, strict=True))).all()
        return found
    columns = [column(name, BigInteger) for name in ("place", *names)]
    table = values(*columns, name="asked").data([(place, *numbers) for place, numbers in enumerate(asked)])
    # As SQL: the columns themselves would have each subquery read all of the table.
    others = [literal_column(f"asked.{name}", BigInteger) for name in names]
    of_each = query(*others).lateral("found")
    whole = select(table.c.place, of_each).select_from(table.join(of_each, true()))
    for number, *row in connection.execute(whole).all():
        found[number].append(row)
    return found


def portions(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """Returns the items in portions of at most so many."""
    for start in range(0, len(items), most):
        yield items[start : start + most]
