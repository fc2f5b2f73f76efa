"""Text and names as the server stores them, whatever their encoding: read, quoted for a statement, shown.

A poll sees query texts of all databases, in the bytes of *their* encoding: decoding them strictly would lose
the whole poll to one invalid byte. With `client_encoding = SQL_ASCII` the server converts nothing (PostgreSQL
manual, Character Set Support), and invalid bytes become visible `\\xNN` here.
"""

from __future__ import annotations

from psycopg import adapt
from psycopg.abc import AdaptContext
from psycopg.pq.abc import Escaping
from psycopg.types.string import ByteaBinaryLoader

# text, varchar, bpchar, name, unknown, "char" (src/include/catalog/pg_type.dat)
_TEXT_OIDS = (25, 1043, 1042, 19, 705, 18)
_NAME_OID = 19


class _LenientTextLoader(adapt.Loader):
    """Text as `str`: UTF-8 where it is valid, `\\xNN` for each byte that isn't."""

    def load(self, data: adapt.Buffer) -> str:
        return decode(data)


class _ExactNameLoader(adapt.Loader):
    """A name as `str` that turns back into the same bytes, even where they aren't valid UTF-8."""

    def load(self, data: adapt.Buffer) -> str:
        return bytes(data).decode("utf-8", errors="surrogateescape")


def decode(stored: adapt.Buffer) -> str:
    """Stored bytes as text: `\\xNN` for each that isn't UTF-8."""
    return str(stored, "utf-8", "backslashreplace")


def lenient_text(context: AdaptContext) -> None:
    """Makes connections that use `context` read text as `decode` does."""
    for oid in _TEXT_OIDS:
        context.adapters.register_loader(oid, _LenientTextLoader)


def bytes_of_text(context: AdaptContext) -> None:
    """Makes a cursor with binary results read text as its bytes: for hundreds that are mostly known."""
    for oid in _TEXT_OIDS:
        context.adapters.register_loader(oid, ByteaBinaryLoader)


def exact_names(context: AdaptContext) -> None:
    """Makes a cursor or connection read names so that `quoted` turns them back into the same bytes."""
    context.adapters.register_loader(_NAME_OID, _ExactNameLoader)


def quoted(name: str, escaping: Escaping) -> bytes:
    """A name as an identifier in a statement.

    `psycopg.sql` would refuse names beyond ASCII where the database's encoding is SQL_ASCII.
    """
    return bytes(escaping.escape_identifier(name.encode("utf-8", errors="surrogateescape")))
