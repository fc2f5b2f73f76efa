"""Reads text as it is stored, whatever its encoding.

A poll sees query texts of all databases, in the bytes of *their* encoding: decoding them strictly
would lose the whole poll to one invalid byte. With `client_encoding = SQL_ASCII` the server converts
nothing (PostgreSQL manual, Character Set Support), and invalid bytes become visible `\\xNN` here.
"""

from __future__ import annotations

from psycopg import adapt

# text, varchar, bpchar, name, unknown, "char" (src/include/catalog/pg_type.dat)
_TEXT_OIDS = (25, 1043, 1042, 19, 705, 18)


class LenientTextLoader(adapt.Loader):
    """Text as `str`: UTF-8 where it is valid, `\\xNN` for each byte that isn't."""

    def load(self, data: adapt.Buffer) -> str:
        return decode(data)


def decode(stored: adapt.Buffer) -> str:
    """Stored bytes as that text."""
    return str(stored, "utf-8", "backslashreplace")


def register(context: adapt.AdaptersMap) -> None:
    """Makes connections that use `context` read text leniently."""
    for oid in _TEXT_OIDS:
        context.register_loader(oid, LenientTextLoader)
