"""Names as the server stores them: read as the same bytes, quoted for a statement, shown to people."""

from __future__ import annotations

from psycopg import adapt
from psycopg.abc import AdaptContext
from psycopg.pq.abc import Escaping

_NAME_OID = 19  # src/include/catalog/pg_type.dat


class _ExactNameLoader(adapt.Loader):
    """A name as `str` that turns back into the same bytes, even where they aren't valid UTF-8."""

    def load(self, data: adapt.Buffer) -> str:
        return bytes(data).decode("utf-8", errors="surrogateescape")


def exact_names(context: AdaptContext) -> None:
    """Makes a cursor or connection read names so that `quoted` turns them back into the same bytes."""
    context.adapters.register_loader(_NAME_OID, _ExactNameLoader)


def shown(name: str) -> str:
    """A name as people see it: each byte that isn't UTF-8 (in a SQL_ASCII database) as `\\xNN`."""
    return name.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")


def quoted(name: str, escaping: Escaping) -> bytes:
    """A name as an identifier in a statement.

    `psycopg.sql` would refuse names beyond ASCII where the database's encoding is SQL_ASCII.
    """
    return bytes(escaping.escape_identifier(name.encode("utf-8", errors="surrogateescape")))
