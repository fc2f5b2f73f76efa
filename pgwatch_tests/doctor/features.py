"""Features that work, told from facts about a role and a server, and the GRANTs that mend the rest. Pure.

One function per feature. The rules of who may signal whom are the server's
(src/backend/storage/ipc/signalfuncs.c), of who may finish a prepared transaction those of
src/backend/access/transam/twophase.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pgwatch_tests.doctor.model import (
    Feature,
    Maintenance,
    PreparedTransactions,
    Role,
    Sessions,
    TableAccess,
    Unread,
)
from pgwatch_tests.postgres.grants import grant, grant_usage
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.sql_names import identifier, qualified

_NAMED = 3
_MOST_TABLES_NAMED = 10
_INHERIT_IN_GRANT = 160000


def lock_tree(sessions: Sessions | Unread) -> Feature:
    """The lock tree. Any role may see it unless a function was taken away, so it is simply tried."""
    ids = ("lock_tree", "lock tree")
    if isinstance(sessions, Unread):
        return Feature(*ids, "missing" if sessions.denied else "unknown", sessions.reason)
    return Feature(*ids, "works", "who waits for whom, on what, in all databases")


def session_details(role: Role | Unread, sessions: Sessions | Unread, server_version: int) -> Feature:
    """States, queries and times of other roles' sessions."""
    ids = ("session_details", "session details")
    if isinstance(role, Unread):
        return Feature(*ids, "unknown", role.reason)
    if role.reads_all_stats:
        return Feature(*ids, "works", "states, queries and times of all sessions")
    now = (
        ""
        if isinstance(sessions, Unread)
        else f" ({sessions.hidden:,} of {plural(sessions.clients, 'session')} now)"
    )
    return Feature(
        *ids,
        "missing",
        f"states, queries and times of other roles' sessions are hidden{now}",
        grant_role("pg_monitor", role, server_version),
    )


def act_on_sessions(role: Role | Unread, server_version: int) -> Feature:
    """Cancelling statements and ending sessions."""
    ids = ("act_on_sessions", "cancel and end sessions")
    if isinstance(role, Unread):
        return Feature(*ids, "unknown", role.reason)
    if role.superuser:
        return Feature(*ids, "works", "all sessions")
    if role.signals_backends:
        return Feature(*ids, "works", "all sessions but superusers', which only a superuser can end")
    return Feature(
        *ids,
        "missing",
        "only sessions of its own role, and of roles whose privileges it has. With the GRANT: all but "
        "superusers', which only a superuser can end",
        grant_role("pg_signal_backend", role, server_version),
    )


def prepared_transactions(
    role: Role | Unread, prepared: PreparedTransactions | Unread, standby: bool | Unread
) -> Feature:
    """Rolling back prepared transactions that were left behind."""
    ids = ("prepared_transactions", "roll back prepared transactions")
    for fact in (role, prepared, standby):
        if isinstance(fact, Unread):
            return Feature(*ids, "unknown", fact.reason)
    assert isinstance(role, Role)
    assert isinstance(prepared, PreparedTransactions)
    if standby:
        return Feature(*ids, "partly", "not on a standby; connect to its primary")
    if role.superuser:
        return Feature(*ids, "works", "all of them, each from its own database")
    if not prepared.most:
        return Feature(*ids, "works", "none are possible: max_prepared_transactions is 0")
    now = (
        f" ({prepared.of_others:,} of {prepared.present:,} belong to other roles)" if prepared.present else ""
    )
    return Feature(
        *ids,
        "partly",
        f"only those that its own role prepared{now}. The others need their owner or a superuser: "
        "no GRANT helps",
    )


def count_leaks(role: Role | Unread, tables: Sequence[TableAccess] | Unread) -> Feature:
    """Counting marked rows in all tables."""
    ids = ("count_leaks", "count leaks")
    if isinstance(role, Unread):
        return Feature(*ids, "unknown", role.reason)
    if isinstance(tables, Unread):
        return Feature(*ids, "unknown", tables.reason)
    ours = [table for table in tables if not table.is_foreign]
    unread = [table for table in ours if not (table.schema_usage and table.readable)]
    hidden = [table for table in ours if table.row_security]
    parts = [f"{len(ours) - len({*unread, *hidden}):,} of {plural(len(ours), 'table')} can be read in full"]
    if unread:
        parts.append(f"no SELECT or no USAGE for {len(unread):,}: {_names(unread)}")
    if hidden:
        parts.append(f"row-level security hides rows of {len(hidden):,}: {_names(hidden)}")
    foreign = len(tables) - len(ours)
    if foreign:
        parts.append(f"{plural(foreign, 'foreign table')} {'is' if foreign == 1 else 'are'} never counted")
    fix = (*_grant_reading(unread, role.role), *_bypass(hidden, role))
    return Feature(*ids, "missing" if unread or hidden else "works", "; ".join(parts), fix)


def maintenance_database(role: Role | Unread, found: Maintenance | Unread) -> Feature:
    """Polling from the database `postgres` while the catalogs of the tested one are locked."""
    ids = ("maintenance_database", "maintenance database")
    if isinstance(found, Unread):
        return Feature(*ids, "unknown", found.reason)
    if found.error is None:
        return Feature(
            *ids, "works", "postgres, to poll from while catalogs of the tested database are locked"
        )
    lost = "while catalogs of the tested database are locked, the lock tree can't be read"
    if not found.exists:
        return Feature(*ids, "partly", f"there is no database postgres: {lost}")
    if found.permitted or isinstance(role, Unread):
        return Feature(*ids, "missing", f"{found.error}; {lost}")
    return Feature(
        *ids,
        "missing",
        f"no CONNECT privilege on postgres: {lost}",
        (f'GRANT CONNECT ON DATABASE "postgres" TO {identifier(role.role)};',),
    )


def row_keys(role: Role | Unread, tables: Sequence[TableAccess] | Unread) -> Feature:
    """The primary key of the row that is waited for; optional."""
    ids = ("row_keys", "names of rows")
    if isinstance(role, Unread):
        return Feature(*ids, "unknown", role.reason)
    if isinstance(tables, Unread):
        return Feature(*ids, "unknown", tables.reason)
    keyed = [table for table in tables if table.key_readable is not None and not table.is_foreign]
    unnamed = [
        table for table in keyed if not (table.schema_usage and table.key_readable) or table.row_security
    ]
    if not unnamed:
        return Feature(*ids, "works", "a row that is waited for is named by its primary key")
    return Feature(
        *ids,
        "partly",
        f"rows of {len(unnamed):,} of {plural(len(keyed), 'table')} are named by their place (page, number) "
        f"and not by their primary key, which can't be read: {_names(unnamed)}. This is optional",
        (*_grant_reading(unnamed, role.role), *_bypass(unnamed, role)),
    )


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


def _grant_reading(tables: Iterable[TableAccess], role: str) -> tuple[str, ...]:
    """Lets a role read these tables: USAGE of their schemas and SELECT, where it lacks them.

    More than ten tables of a schema are granted as all of its tables.
    """
    schemas: dict[str, list[TableAccess]] = {}
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


def _bypass(hidden: Sequence[TableAccess], role: Role) -> tuple[str, ...]:
    policies = any(table.row_security for table in hidden)
    return (f"ALTER ROLE {identifier(role.role)} BYPASSRLS;",) if policies else ()


def _names(tables: Sequence[TableAccess]) -> str:
    names = ", ".join(f"{table.schema}.{table.table}" for table in tables[:_NAMED])
    return f"{names} and {len(tables) - _NAMED:,} more" if len(tables) > _NAMED else names
