"""The statements that an administrator can paste: only what is needed, every name quoted. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pgwatch_tests.doctor.model import Role, Table

_MOST_TABLES_NAMED = 10
_INHERIT_IN_GRANT = 160000


def quoted(name: str) -> str:
    """A name as an identifier; characters that can't be seen in its escape (U&"…"), so that it can be pasted.

    PostgreSQL manual, Lexical Structure, Identifiers and Key Words.
    """
    doubled = name.replace('"', '""')
    if name.isprintable():
        return f'"{doubled}"'
    escaped = "".join(
        character if character.isprintable() and character != "\\" else _escape(character)
        for character in doubled
    )
    return f'U&"{escaped}"'


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\{code:04X}" if code < 0x10000 else f"\\+{code:06X}"


def grant_role(granted: str, role: Role, server_version: int) -> tuple[str, ...]:
    """Gives a role the privileges of a predefined one, also if it doesn't inherit those it is a member of.

    `server_version` is the server's `server_version_num`.
    """
    to = quoted(role.role)
    if role.inherits:
        return (f"GRANT {granted} TO {to};",)
    if server_version >= _INHERIT_IN_GRANT:
        return (f"GRANT {granted} TO {to} WITH INHERIT TRUE;",)
    return f"GRANT {granted} TO {to};", f"ALTER ROLE {to} INHERIT;"


def grant_reading(tables: Iterable[Table], role: str) -> tuple[str, ...]:
    """Lets a role read these tables: USAGE of their schemas and SELECT, where it lacks them.

    More than ten tables of a schema are granted as all of its tables.
    """
    schemas: dict[str, list[Table]] = {}
    for table in tables:
        schemas.setdefault(table.schema, []).append(table)
    to = quoted(role)
    statements: list[str] = []
    for schema, members in schemas.items():
        if not all(table.schema_usage for table in members):
            statements.append(f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {to};")
        unread = [table for table in members if not table.readable]
        if len(unread) > _MOST_TABLES_NAMED:
            statements.append(f"GRANT SELECT ON ALL TABLES IN SCHEMA {quoted(schema)} TO {to};")
        elif unread:
            names = ", ".join(f"{quoted(table.schema)}.{quoted(table.table)}" for table in unread)
            statements.append(f"GRANT SELECT ON {names} TO {to};")
    return tuple(statements)
