"""Statements that mend what was left behind: each runs as it is printed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.text.sql_names import identifier, qualified

_SETTING = "session_replication_role"
# By the first word of `mend` in queries/leftovers/disabled_trigger.sql; PostgreSQL manual, ALTER TABLE.
_OF_TABLES = {
    "enable": "ENABLE TRIGGER {name}",
    # A constraint's own triggers have names that only the server knows.
    "enable all": "ENABLE TRIGGER ALL",
    "validate": "VALIDATE CONSTRAINT {name}",
    "enforce": "ALTER CONSTRAINT {name} ENFORCED",
    # Up to 18, ENFORCED is for foreign keys only.
    "make again": "DROP CONSTRAINT {name}, then add it without NOT ENFORCED",
}


def hint(mend: Sequence[str | None]) -> str:
    """The statement, or else what to do, from what is to be done and the names that it takes.

    These are schema, table and trigger or constraint, or for `reset` role and database, None for all of them.
    """
    what, *names = mend
    if what == "configure":
        return f"take {_SETTING} out of the server's configuration, and reload it"
    if what == "reset":
        return _reset(*names)
    schema, table, name = (part or "" for part in names)
    return f"ALTER TABLE {qualified(schema, table)} {_OF_TABLES[what or ''].format(name=identifier(name))}"


def _reset(role: str | None, database: str | None) -> str:
    if role is None and database is not None:
        whose = f"DATABASE {identifier(database)}"
    else:
        whose = f"ROLE {'ALL' if role is None else identifier(role)}"
        whose += "" if database is None else f" IN DATABASE {identifier(database)}"
    return f"ALTER {whose} RESET {_SETTING}"
