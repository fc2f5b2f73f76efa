"""Session settings: our sessions' name, limits and formats, and the statements that apply them. Pure.

Roles and databases may have settings of their own (ALTER ROLE or DATABASE … SET), and DSNs and environments
too. What our statements mean, and how their answers are read, must not depend on any of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from pgwatch_tests.identity.application_name import OWN_NAME

Row = tuple[object, ...]

# Settings that our statements, and the reading of their answers, rely on (PostgreSQL manual, Client
# Connection Defaults; Version and Platform Compatibility).
_MEANING = {
    # Without an order of day and month: that one is the database's, and no text of ours depends on it.
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "quote_all_identifiers": "off",
    "xmlbinary": "base64",
    "client_min_messages": "warning",
    # Temporary tables and types go before all others unless they are named (PostgreSQL manual, search_path);
    # behind a pooler a session may have the suite's.
    "search_path": "pg_catalog, pg_temp",
    # An index then leaves out what it likes (PostgreSQL manual, GIN Tips and Tricks).
    "gin_fuzzy_search_limit": "0",
}
_MANNERS = {
    "application_name": OWN_NAME,
    "idle_in_transaction_session_timeout": "60s",
    # A serializable reader could make other sessions fail, a deferrable one waits for them.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "jit": "off",
}
# Settings against a database's own code: policies, which hide rows (an error instead); the constants in
# checks, which the planner would compute (src/backend/optimizer/util/plancat.c).
_NO_CODE_OF_OTHERS = {"row_security": "off", "constraint_exclusion": "off"}
REFUSED_RELATIONS = "restrict_nonsystem_relation_kind"
"""The setting that keeps a session from reading a view which somebody puts in the place of a table."""
# The minor releases that came with it (CVE-2024-7348), by major release.
_REFUSING_SINCE = {13: 130016, 14: 140013, 15: 150008, 16: 160004}
_FIRST_WITH = {
    "idle_session_timeout": 140000,
    "client_connection_check_interval": 140000,
    "transaction_timeout": 170000,
}
_UNLIMITED = {"idle_session_timeout": "0", "transaction_timeout": "0"}
_OF_TRANSACTIONS = "default_transaction_"

# Settings that a database's own code, such as a trigger, relies on: search paths, how texts are read.
_OF_OTHERS = ("search_path", "DateStyle", "IntervalStyle", "TimeZone", "bytea_output", "extra_float_digits")


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Limits of a session of ours, in seconds; it is read-only unless said otherwise.

    `any_bytes` reads text without conversion, for text that may come from other databases. `own_time_zone`
    keeps the time zone of the role or database, by which timestamps without one were written. `more` are
    further settings by name; `optional` ones are left out where the server's platform can't have them.
    """

    statement_timeout_s: float
    lock_timeout_s: float
    read_only: bool = True
    any_bytes: bool = False
    own_time_zone: bool = False
    more: tuple[tuple[str, str], ...] = ()
    optional: tuple[tuple[str, str], ...] = ()

    def settings(
        self, server_version: int, server_encoding: str, *, with_optional: bool = True
    ) -> dict[str, str]:
        """Returns all settings by name, for a server of this version (`server_version_num`) and encoding."""
        settings = {
            **timeouts(self.statement_timeout_s, self.lock_timeout_s),
            "default_transaction_read_only": "on" if self.read_only else "off",
            # SQL_ASCII means: no conversion, so that one invalid byte can't fail a whole read.
            "client_encoding": "SQL_ASCII" if self.any_bytes or server_encoding == "SQL_ASCII" else "UTF8",
            **_MEANING,
            **({} if self.own_time_zone else {"TimeZone": "UTC"}),
            **_MANNERS,
            **_NO_CODE_OF_OTHERS,
            **({REFUSED_RELATIONS: "view, foreign-table"} if can_refuse_views(server_version) else {}),
            **_UNLIMITED,
            **dict(self.more),
            **dict(self.optional if with_optional else ()),
        }
        return {name: value for name, value in settings.items() if server_version >= _FIRST_WITH.get(name, 0)}


def can_refuse_views(server_version: int) -> bool:
    """Whether the server knows REFUSED_RELATIONS; by `server_version_num`."""
    return server_version >= _REFUSING_SINCE.get(server_version // 10000, 170000)


def timeouts(statement_timeout_s: float, lock_timeout_s: float) -> dict[str, str]:
    """The settings that bound a statement's duration and its waits for locks."""
    return {
        "statement_timeout": f"{max(1, round(statement_timeout_s * 1000))}ms",
        "lock_timeout": f"{max(1, round(lock_timeout_s * 1000))}ms",
    }


def opening(settings: Mapping[str, str], told_pid: int) -> sql.Composed:
    """Applies `settings`, in one message. Each row of the last result: the pid of the server's process, when
    the server was started, where it keeps a file of the database, the database, our role, and the snapshot.

    If that isn't the `told_pid`, a pooler is in between, and they are gone when the message is done. First
    come limits on waiting, by SET: finding a function reads catalogs, which may be locked.
    """
    bounds = {name: settings[name] for name in ("statement_timeout", "lock_timeout")}
    return sql.SQL(
        "{}; SELECT pg_catalog.pg_backend_pid(), "
        "pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::pg_catalog.text, "
        "pg_catalog.pg_relation_filepath(1259), "  # pg_class
        "pg_catalog.current_database()::pg_catalog.text, "
        "current_user::pg_catalog.text, pg_catalog.pg_current_snapshot()::pg_catalog.text, "
        "pg_catalog.set_config("
        "setting.name, setting.value, pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.<>) {}"
        ") FROM pg_catalog.json_each_text({}) AS setting (name, value)"
    ).format(
        _beginning(bounds, read_only=True),
        sql.Literal(told_pid),
        sql.Literal(json.dumps(dict(settings), ensure_ascii=False)),
    )


def transaction_beginning(settings: Mapping[str, str], *, begins: bool) -> sql.Composed:
    """Applies `settings` to one transaction only; `begins` it unless it has begun."""
    statement = _beginning(
        {name: value for name, value in settings.items() if not name.startswith(_OF_TRANSACTIONS)},
        read_only=settings["default_transaction_read_only"] == "on",
    )
    return sql.SQL("BEGIN; ").format() + statement if begins else statement


def for_code_of_others(server_version: int) -> bytes:
    """Resets what code of the database's own (triggers …) is written for, until the transaction ends.

    One statement: NULL is the default, as for SET LOCAL … TO DEFAULT (set_config_by_name in guc_funcs.c).
    """
    refused = (REFUSED_RELATIONS,) if can_refuse_views(server_version) else ()
    resets = ", ".join(f"pg_catalog.set_config('{name}', NULL, true)" for name in (*_OF_OTHERS, *refused))
    return f"SELECT {resets}".encode()


def for_session(settings: Mapping[str, str]) -> sql.Composed:
    """Applies `settings` to the rest of the session."""
    return _each(sql.SQL("SET {} = {}"), settings)


def _beginning(settings: Mapping[str, str], *, read_only: bool) -> sql.Composed:
    # Of the transaction itself first: a role's default may be serializable and deferrable, which waits.
    mode = sql.SQL("READ ONLY" if read_only else "READ WRITE")
    return sql.SQL("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, {}, NOT DEFERRABLE; {}").format(
        mode, _each(sql.SQL("SET LOCAL {} = {}"), settings)
    )


def _each(form: sql.SQL, settings: Mapping[str, str]) -> sql.Composed:
    return sql.SQL("; ").join(
        form.format(sql.Identifier(name), _value(name, value)) for name, value in settings.items()
    )


def _value(name: str, value: str) -> sql.Composable:
    # SET takes one text for one schema; set_config takes it apart.
    parts = value.split(", ") if name == "search_path" else [value]
    return sql.SQL(", ").join(map(sql.Literal, parts))
