"""Statements of tests: what each says that it writes, and to which table. Only the standard library.

A hint, no proof: triggers, rules and functions write what no text says. Each text is read once.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

Verb = Literal["insert", "upsert", "update", "delete", "truncate", "unclear"]
"""`upsert` may insert or update; `unclear` may be anything: several statements in one, DO, CALL, WITH …"""

_NAME = r'(?:"(?:[^"]|"")*"|[\w$]+)'
_SPACE = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)"
_WRITES = re.compile(
    rf"{_SPACE}*(?P<verb>INSERT{_SPACE}+INTO|UPDATE|DELETE{_SPACE}+FROM|MERGE{_SPACE}+INTO|COPY"
    rf"|TRUNCATE(?:{_SPACE}+TABLE)?){_SPACE}+(?:ONLY{_SPACE}+)?(?P<table>{_NAME}(?:\.{_NAME})?)",
    re.IGNORECASE | re.DOTALL,
)
_ONLY_READS = re.compile(
    rf"{_SPACE}*(?:(?:SELECT|SHOW|SET|RESET|EXPLAIN|BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE"
    r"|LISTEN|UNLISTEN|NOTIFY|FETCH|MOVE|DECLARE|CLOSE|DISCARD|VALUES|TABLE|LOCK|PREPARE\s+TRANSACTION)\b|$)",
    re.IGNORECASE | re.DOTALL,
)
_SAVEPOINT = re.compile(rf"{_SPACE}*SAVEPOINT\b", re.IGNORECASE | re.DOTALL)
# Before any literal, whose text may be anything.
_HIDDEN_WRITE = re.compile(
    rf"{_SPACE}*(?:SELECT\b[^'\"]*\bINTO\s|EXPLAIN\b[^'\"]*\bANALY[SZ]E\b[^'\"]*\b(?:INSERT|UPDATE|DELETE|MERGE)\b)",
    re.IGNORECASE | re.DOTALL,
)
_UPSERT = re.compile(r"\bON\s+CONFLICT\b.*\bDO\s+UPDATE\b", re.IGNORECASE | re.DOTALL)
_VERBS: dict[str, Verb] = {"U": "update", "D": "delete", "M": "upsert", "C": "insert", "T": "truncate"}
_MOST_OF_A_TEXT = 20_000
_CALL = re.compile(rf"(?:({_NAME})\s*\.\s*)?({_NAME})\s*\(", re.DOTALL)
_WORDS = """
    abs age all and any array array_agg array_length as avg between bool_and bool_or by cast ceil char
    char_length coalesce concat concat_ws count cume_dist current_database current_schema
    current_setting date_part date_trunc dense_rank distinct else except exists extract filter
    first_value floor format from gen_random_uuid generate_series greatest group having if in intersect
    interval into is join json_agg json_build_object jsonb_agg jsonb_build_object lag last_value lateral
    lead least left length like limit lower ltrim make_interval materialized max md5 min mod not now
    nullif numeric offset on only or order over overlay partition position random rank regexp_replace
    replace right round row row_number row_to_json rtrim select some split_part string_agg strpos substr
    substring sum then timestamp to_char to_date to_json to_jsonb to_timestamp to_tsquery to_tsvector
    trim union unnest upper using values varchar version when where with within
"""
_NO_FUNCTIONS_OF_USERS = frozenset(_WORDS.split())
"""Words before a parenthesis that are SQL's, or the server's most used functions: none of these writes."""


class Written(NamedTuple):
    """What a statement says that it writes."""

    verb: Verb
    table: str = ""
    """As it stands in the text, without quotes and without a schema; empty if it names none."""


@lru_cache(maxsize=2048)
def written_by(text: str) -> Written | None:
    """Returns what a statement says that it writes; None for one that only reads.

    An empty text is a COPY, which drivers send without telling.
    """
    if not text:
        return Written("unclear")
    match = _WRITES.match(text)
    if match is None:
        reads = _ONLY_READS.match(text) and not _has_more(text) and not hides_write(text)
        return None if reads else Written("unclear")
    table = _table(match["table"])
    if _has_more(text) or len(text) > _MOST_OF_A_TEXT:
        return Written("unclear", table)
    initial = match["verb"][0].upper()
    if initial == "I":
        return Written("upsert" if _UPSERT.search(text) else "insert", table)
    if initial == "T" and "," in text:
        return Written("unclear", table)
    return Written(_VERBS[initial], table)


@lru_cache(maxsize=2048)
def hides_write(text: str) -> bool:
    """Whether a statement begins like one that reads, and says further on that it writes."""
    return _HIDDEN_WRITE.match(text) is not None


@lru_cache(maxsize=2048)
def calls_of(text: str) -> frozenset[str]:
    """Returns what may be functions of users in a statement that says nothing of a write, in lower case.

    Parts of literals may be among them, and the server's own functions.
    """
    if written_by(text) is not None:
        return frozenset()
    return frozenset(
        name
        for schema, called in _CALL.findall(text[:_MOST_OF_A_TEXT])
        if schema.lower() != "pg_catalog"
        and (name := _table(called)) not in _NO_FUNCTIONS_OF_USERS
        and not name.startswith("pg_")
        and not name.isdigit()
    )


@lru_cache(maxsize=2048)
def makes_savepoint(text: str) -> bool:
    """Whether a statement begins a subtransaction, whose rows have an id of their own."""
    return _SAVEPOINT.match(text) is not None


def _has_more(text: str) -> bool:
    """Whether there may be another statement behind the first."""
    _, semicolon, rest = text.partition(";")
    return bool(semicolon) and bool(rest.strip())


def _table(name: str) -> str:
    parts = re.findall(_NAME, name)
    last = parts[-1] if parts else name
    return last[1:-1].replace('""', '"') if last.startswith('"') else last.lower()
