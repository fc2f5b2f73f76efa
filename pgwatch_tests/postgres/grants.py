"""GRANT statements that a role lacks: per table, or one per schema where all its tables are meant. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pgwatch_tests.text.sql_names import identifier, qualified

_FEW = 2
_MANY = 10


def whole_schemas(meant: Iterable[str], lacking: Iterable[str]) -> frozenset[str]:
    """The schemas of which all tables are granted together.

    `meant` has the schema of each table on which a privilege is needed and missing, `lacking` of each on
    which it is missing. Together: if more than two are meant and no other lacks it, or if more than ten are.
    """
    missing = Counter(lacking)
    return frozenset(
        schema
        for schema, tables in Counter(meant).items()
        if tables > _MANY or (tables > _FEW and tables >= missing[schema])
    )


def grant(privileges: Sequence[str], schema: str, table: str | None, role: str) -> str:
    """GRANT on a table, or with none, on all tables of the schema: views, and partitions in it, included."""
    on = f"ALL TABLES IN SCHEMA {identifier(schema)}" if table is None else qualified(schema, table)
    return f"GRANT {', '.join(privileges)} ON {on} TO {identifier(role)}"


def grant_usage(schema: str, role: str) -> str:
    """GRANT of USAGE on a schema, without which none of its tables can be used."""
    return f"GRANT USAGE ON SCHEMA {identifier(schema)} TO {identifier(role)}"
