"""Statements of a batch: texts with their values, and which are a driver's or a pool's own. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from psycopg.adapt import Transformer
from psycopg.pq import Format
from psycopg.sql import Literal as SqlLiteral

from pgwatch_tests.testing.interleaving.schedules.step import is_no_step, without_comments
from pgwatch_tests.text.sql_tokens import tokens

_OF_DRIVERS = re.compile(
    r"""(?:
        # asyncpg: types, and the compiler of expressions, which it switches off for them
        WITH\s+RECURSIVE\s+typeinfo_tree\b | SELECT\s+t\.oid,\s+t\.typelem\s+AS\s+elemtype\b
        | SELECT\s+current_setting\('jit'\) | SELECT\s+set_config\('jit'
        # Npgsql, pgjdbc: types
        | SELECT\s+ns\.nspname,\s+t\.oid | SELECT\s+n\.nspname\s*=\s*ANY\(current_schemas\(true\)\)
        # asyncpg's pool, when it takes a connection back
        | SELECT\s+pg_advisory_unlock_all\(\)
        # the id of a transaction ahead of its COMMIT (pgwatch_tests.testing.connections)
        | SELECT\s+(?:pg_catalog\.)?(?:pg_current_xact_id_if_assigned|txid_current_if_assigned)\(\)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_FREES_KEYS = re.compile(r"pg_advisory_unlock_all|DISCARD\s+ALL", re.IGNORECASE)
_HOLDS_KEYS = re.compile(r"pg_(?:try_)?advisory_lock", re.IGNORECASE)
_LEVEL = re.compile(
    r"(?:BEGIN|START\s+TRANSACTION|SET\s+TRANSACTION)\b.*?\bISOLATION\s+LEVEL\s+"
    r"(READ\s+UNCOMMITTED|READ\s+COMMITTED|REPEATABLE\s+READ|SERIALIZABLE)",
    re.IGNORECASE | re.DOTALL,
)
_BEGINS = re.compile(r"(?:BEGIN|START)\b", re.IGNORECASE)
_RESETS = re.compile(r"(?:RESET|DISCARD)\s+ALL", re.IGNORECASE)
_SETS_DEFAULT = re.compile(r"default_transaction_isolation|\bCHARACTERISTICS\b", re.IGNORECASE)
_AS_WRITTEN = frozenset({20, 21, 23, 26, 700, 701, 1700})
"""OIDs of numbers: their texts need no quotes (src/include/catalog/pg_type.dat)."""
_BOOL, _BYTEA = 16, 17
_LONGEST = 10_000

Value = tuple[bytes | None, int, int]
"""A value as it is sent, its format (0 text, 1 binary), and the OID of its type; 0: not known."""


@lru_cache(maxsize=1000)
def split(text: str) -> tuple[str, ...]:
    """Returns the statements of a text, without what divides them."""
    if ";" not in text.rstrip("; \n\t"):
        return (text.strip("; \n\t"),)
    parts, start = [], 0
    for token in tokens(text):
        if token.text == ";":
            parts.append(text[start : token.start])
            start = token.end
    return tuple(part.strip() for part in (*parts, text[start:]) if without_comments(part).strip())


def is_own(statement: str) -> bool:
    """Whether a statement is no step: a setting, or a driver's or pool's own."""
    return is_no_step(statement) or _OF_DRIVERS.match(without_comments(statement)) is not None


def frees_keys(text: str) -> bool:
    """Whether a text frees advisory locks that a session has."""
    return _FREES_KEYS.search(text) is not None


def holds_keys(text: str) -> bool:
    """Whether a text may take an advisory lock that outlives its transaction."""
    return _HOLDS_KEYS.search(text) is not None


def begins(text: str) -> bool:
    """Whether one of the statements of a text begins a transaction."""
    return any(_BEGINS.match(without_comments(part)) for part in split(text))


def named_level(text: str) -> str | None:
    """Returns the level that a text gives its transaction, in lower case; None: it names none."""
    match = _LEVEL.search(text)
    return None if match is None else " ".join(match[1].lower().split())


def resets_settings(text: str) -> bool:
    """Whether a text gives all settings the values that they had when the session began."""
    return _RESETS.search(text) is not None


def sets_default_level(text: str) -> bool:
    """Whether a text may change the level of later transactions."""
    return _SETS_DEFAULT.search(text) is not None


def with_values(text: str, values: Sequence[Value]) -> str:
    """Returns a statement with its values in it, as far as they can be read; the others stay `$n`."""
    if not values or len(text) > _LONGEST:
        return text
    parts, at = [], 0
    for start, end, number in _parameters(text):
        if 1 <= number <= len(values):
            parts += [text[at:start], literal(values[number - 1]) or text[start:end]]
            at = end
    return "".join((*parts, text[at:]))


@lru_cache(maxsize=1000)
def _parameters(text: str) -> tuple[tuple[int, int, int], ...]:
    """Returns where the parameters of a statement begin and end, and their numbers."""
    return tuple((one.start, one.end, int(one.text[1:])) for one in tokens(text) if one.kind == "parameter")


def literal(value: Value) -> str:
    """Returns a value as it would be written in a statement; empty if it can't be read."""
    sent, format_, oid = value
    if sent is None:
        return "NULL"
    if len(sent) > _LONGEST:
        return ""
    try:
        if format_ != Format.TEXT:
            read = _read_binary(sent, oid)
            return "" if isinstance(read, bytes) and oid != _BYTEA else str(SqlLiteral(read).as_string())
        text = sent.decode(errors="replace")
        if oid in _AS_WRITTEN and re.fullmatch(r"-?[\d.]+", text):
            return text
        if oid == _BOOL:
            return "true" if text in ("t", "true", "1") else "false"
        return str(SqlLiteral(text).as_string())
    except Exception:  # noqa: BLE001  # whatever psycopg makes of a value that isn't of its type
        return ""


def shown(value: Value) -> str | None:
    """Returns a value of a result as psycopg's gates show it; None for NULL."""
    sent, format_, oid = value
    if sent is None:
        return None
    if format_ == Format.TEXT:
        return sent[:400].decode(errors="replace")
    try:
        read = _read_binary(sent, oid)
    except Exception:  # noqa: BLE001
        read = sent
    if isinstance(read, bool):
        return "t" if read else "f"
    return f"{len(sent)} bytes" if isinstance(read, bytes) else str(read)


def _read_binary(sent: bytes, oid: int) -> object:
    read: object = Transformer().get_loader(oid, Format.BINARY).load(sent)
    return read
