"""The statements that an administrator can paste: only what is needed, every name quoted. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pgwatch_tests.doctor.model import Role, Table
from pgwatch_tests.postgres.grants import grant, grant_usage
from pgwatch_tests.text.sql_names import identifier, qualified

_MOST_TABLES_NAMED = 10
_INHERIT_IN_GRANT = 160000


def grant_role(granted: str, role: Role, server_version: int) -> tuple[str, ...]:
    """Gives a role the privileges of a predefined one, also if it doesn't inherit those it is a member of.

    `server_version` is the server's `server_version_num`.
    """
    to = identifier(role.role)
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
    to = identifier(role)
    statements: list[str] = []
    for schema, members in schemas.items():
        if not all(table.schema_usage for table in members):
            statements.append(f"{grant_usage(schema, role)};")
        unread = [table for table in members if not table.readable]
        if len(unread) > _MOST_TABLES_NAMED:
            statements.append(f"{grant(['SELECT'], schema, None, role)};")
        elif unread:
            names = ", ".join(f"{qualified(table.schema, table.table)}" for table in unread)
            statements.append(f"GRANT SELECT ON {names} TO {to};")
    return tuple(statements)
