"""Calls that send SQL: the rows that it inserts and removes, by the statement's text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_tests.lint.syntax.source import Call
from pgwatch_tests.lint.syntax.values import (
    HOLE,
    Items,
    Mapping,
    Pair,
    Text,
    Unknown,
    Value,
    texts,
)

EXECUTORS = frozenset(
    [
        "query",
        "execute",
        "exec",
        "executemany",
        "unsafe",
        "raw",
        "run",
        "sql",
        "one",
        "none",
        "any",
        "many",
        "manyOrNone",
        "oneOrNone",
        "result",
        "$executeRaw",
        "$executeRawUnsafe",
        "$queryRaw",
        "$queryRawUnsafe",
        "executeSql",
        "fetch",
        "fetchrow",
        "fetchval",
        "fetchone",
        "scalar",
        "scalars",
        "exec_driver_sql",
        "execute_query",
        "execute_async",
        "execute_sql",
        "fetch_one",
        "fetch_all",
    ]
)
"""Methods that send SQL."""
_AWAITING = EXECUTORS | {
    "all",
    "allSettled",
    "race",
    "push",
    "transaction",
    "begin",
    "then",
    "expect",
    "resolve",
}
# Asked for first: reading arguments costs more than all else.
_INSERT = re.compile(
    r"\s*INSERT\s+INTO\s+(?:ONLY\s+)?(?P<table>[\w.\"]+)\s*(?:\((?P<columns>[^()]*)\))?", re.I
)
_TRUNCATE = re.compile(
    r"(?:^|;|\bEXECUTE\s+'|\b(?:BEGIN|LOOP)\s)\s*TRUNCATE\s+(?:TABLE\s+)?(?:ONLY\s+)?(?P<table>[\w.\"\x00]+)",
    re.I,
)
_DELETE = re.compile(r"(?:^|;)\s*DELETE\s+FROM\s+(?:ONLY\s+)?(?P<table>[\w.\"\x00]+)(?P<rest>[^;]*)", re.I)
_DROP_SCHEMA = re.compile(
    r"(?:^|;)\s*DROP\s+SCHEMA\s+(?:IF\s+EXISTS\s+)?(?P<table>\"?(?:public|drizzle|graphile_worker|pgboss)\"?)\b",
    re.I,
)
_SHARED_PATTERN = re.compile(r"\bLIKE\s+'(?P<pattern>%@[^'\x00]*)'", re.I)
_LITERAL = re.compile(r"\s*(?:'((?:[^'\x00]|'')*)'|(-?\d+(?:\.\d+)?)(?!\w)|([^,()\s][^,()]*))")


@dataclass(frozen=True, slots=True)
class Write:
    """Rows that a call inserts. `table` is as the source names it: a table, a model or a variable."""

    table: str
    pairs: tuple[Pair, ...]
    """The columns whose values the source has."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Rows that a call removes. `everything`: all of the table, or of all tables where `table` is empty."""

    table: str
    everything: bool
    how: str
    """The words of the statement or the call."""
    pattern: str = ""
    """The LIKE pattern that matches rows of other tests, too."""


def sql_of(call: Call) -> Iterator[str]:
    """The SQL that a call sends, if it looks like one that sends SQL."""
    if call.method not in EXECUTORS:
        return
    if (
        call.is_tag
        and call.method in ("sql", "raw")
        and call.outer is not None
        and call.outer.method in EXECUTORS
    ):
        return  # its outer call sends it
    if call.is_tag and (
        call.is_stored
        or (call.outer is not None and call.outer.scope is call.scope and call.outer.method not in _AWAITING)
    ):
        return  # a text that is compared, formatted or kept
    yield from texts(call.arguments[:1])


def sql_write(call: Call) -> Write | None:
    for sql in sql_of(call):
        match = _INSERT.match(sql)
        if match and not re.search(r"\bON\s+CONFLICT\b", sql, re.I):
            return Write(match["table"].strip('"'), tuple(_sql_pairs(match, sql, call)))
    return None


def _sql_pairs(match: re.Match[str], sql: str, call: Call) -> Iterator[Pair]:
    """Columns and values of an INSERT: literals in the statement, and literals among its parameters."""
    values = re.compile(r"\s*(?:OVERRIDING\s+\w+\s+VALUE\s+)?VALUES\s*\(([^()]*)\)", re.I).match(
        sql, match.end()
    )
    if values is None or match["columns"] is None:
        return
    names = [name.strip().strip('"') for name in match["columns"].split(",")]
    literals = [found.groups() for found in _LITERAL.finditer(values[1]) if found[0].strip()]
    parameters = _parameters(call)
    for name, (text, number, other) in zip(names, literals, strict=False):
        value: Value = Unknown()
        if text is not None:
            value = Text(text)
        elif number is not None:
            value = Text(number)
        elif other.strip() in ("%s", "?") and parameters:
            value = parameters.pop(0)
        elif (numbered := re.fullmatch(r"\$(\d+)", other.strip())) and int(numbered[1]) <= len(parameters):
            value = parameters[int(numbered[1]) - 1]
        elif (named := re.fullmatch(r"[:%]\(?(\w+)\)?s?", other.strip())) and len(call.arguments) > 1:
            rows = call.arguments[1]
            value = (rows.get(named[1]) if isinstance(rows, Mapping) else None) or Unknown()
        yield Pair(name, value, call.line, call.column)


def _parameters(call: Call) -> list[Value]:
    if len(call.arguments) < 2:
        return []
    first = call.arguments[1]
    return list(first.values) if isinstance(first, Items) else list(call.arguments[1:])


def sql_removal(call: Call) -> Removal | None:
    for sql in sql_of(call):
        if match := _TRUNCATE.search(sql):
            return Removal(table_name(match["table"]), True, "TRUNCATE")
        if match := _DROP_SCHEMA.search(sql):
            return Removal("", True, f"DROP SCHEMA {match['table']}")
        deletes = list(_DELETE.finditer(sql))
        for match in deletes:
            rest = match["rest"]
            if not re.search(r"\bWHERE\b|\bUSING\b", rest, re.I) and not rest.strip().startswith(HOLE):
                return Removal(table_name(match["table"]), True, "DELETE without WHERE")
            if like := _SHARED_PATTERN.search(rest):
                return Removal(table_name(match["table"]), False, "DELETE", like["pattern"])
        if deletes:
            return Removal(table_name(deletes[0]["table"]), False, "DELETE")
    return None


def shared_pattern(values: tuple[Value, ...]) -> str:
    """The LIKE pattern in a condition that matches rows of all tests: `%@test.example.com`; empty if none."""
    for text in texts(values):
        if match := _SHARED_PATTERN.search(text):
            return match["pattern"]
    return ""


def table_name(name: str) -> str:
    return name.rpartition(".")[2].strip('"').replace(HOLE, "")
