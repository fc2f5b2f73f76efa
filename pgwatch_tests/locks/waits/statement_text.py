"""The text of a statement, as far as it tells what the statement does: kind, tables, columns. Pure.

The server shows only the beginning of a long text (track_activity_query_size), and of several statements
sent at once it shows them all. So an answer is either certain, or None: it may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from pgwatch_tests.text import sql_tokens

Name = tuple[str, ...]
"""A name's parts as the catalogs have them: `("billing", "invoices")`."""

_KINDS_OF_OBJECT = {
    *("DATABASE", "EXTENSION", "FUNCTION", "INDEX", "MATERIALIZED", "OWNED", "POLICY", "ROLE", "RULE"),
    *("SCHEMA", "SEQUENCE", "TABLE", "TRIGGER", "TYPE", "VIEW", "CONCURRENTLY", "UNIQUE"),
}
_LONGEST_KIND = 4
_BEFORE_KINDS = {"or", "replace", "unlogged", "unique", "trusted", "procedural"}
_CREATED = {
    *("aggregate", "collation", "database", "domain", "extension", "function", "index", "language"),
    *("procedure", "publication", "role", "schema", "sequence", "server", "subscription", "table"),
    *("tablespace", "type", "user", "group", "view"),
}
_BLOCK = re.compile(r"\$(\w*)\$(.*?)\$\1\$", re.DOTALL)
_WAITING_WORDS = {
    *("alter", "call", "copy", "delete", "drop", "execute", "insert", "lock", "merge", "perform", "update"),
}
_SIMPLE = re.compile(r"[a-z_][a-z0-9_$]*")
# They say nothing of the statement that matters, which is sent along with them.
_PREPARATIONS = {"begin", "start", "set", "reset", "show", "savepoint", "release"}
_BEFORE_NAMES = {"table", "if", "exists", "only", "concurrently", "schema"}
_LONGEST_NAME = 63  # bytes: NAMEDATALEN - 1, src/include/pg_config_manual.h
# A text as long as this may have been cut off (track_activity_query_size is 1024 by default).
_MAYBE_CUT_OFF = 1023
_ANALYSED = {"insert", "update", "delete", "merge", "copy", "select", "with", "values", "table"}
# FOR UPDATE, FOR NO KEY UPDATE, DO UPDATE, THEN UPDATE and ON UPDATE aren't statements of their own.
_NO_STATEMENT_AFTER = {"for", "key", "do", "then", "on"}
_END_OF_SET = {"from", "where", "returning", "when"}


@dataclass(frozen=True, slots=True)
class Write:
    """One command of a statement that writes rows of a table."""

    verb: str
    """INSERT, UPDATE, DELETE, MERGE or COPY."""
    table: Name
    columns: frozenset[str] | None = None
    """The columns that an UPDATE, or a MERGE that doesn't insert, sets; None if not known, and for other
    verbs."""
    updates: bool = False
    """Whether it changes rows that are there already: false for an INSERT without ON CONFLICT DO UPDATE."""


@dataclass(frozen=True, slots=True)
class Effects:
    """The effects of a statement by its own words: writes and locks; triggers and functions may do more."""

    writes: tuple[Write, ...]
    locks_rows: bool
    """SELECT … FOR UPDATE, or a weaker FOR."""


def kind(query: str) -> str:
    """Returns the kind of statement: `CREATE INDEX CONCURRENTLY`, `TRUNCATE`; empty if there's no text."""
    statements = _statements(query)
    telling = [one for one in statements if one[0] not in _PREPARATIONS] or list(statements)
    if not telling or not telling[0][0].isalpha():
        return ""
    found = [telling[0][0].upper()]
    for word in telling[0][1:_LONGEST_KIND]:
        if word.upper() not in _KINDS_OF_OBJECT:
            break
        found.append(word.upper())
    return " ".join(found)


def has_words(query: str, *words: str) -> bool:
    """Whether all of these lower-case words are in it, outside of strings and quoted names."""
    return all(any(word in statement for statement in _statements(query)) for word in words)


def names(query: str, table: str) -> bool:
    """Whether TRUNCATE, DROP or LOCK TABLE names this table, or DROP SCHEMA its schema.

    `table` is written as it is shown: `users`, `billing.invoices`, `"My Table"`.
    """
    wanted = next(iter(_names(_tokens(table), 0)), ())
    schema = wanted[0] if len(wanted) > 1 else "public"
    for statement in _statements(query):
        if statement[0] not in ("truncate", "drop", "lock"):
            continue
        start = 1
        while start < len(statement) and statement[start] in _BEFORE_NAMES:
            start += 1
        for name in _names(statement, start):
            if statement[1:2] == ("schema",):
                if name == (schema,):
                    return True
            elif _same(name, wanted):
                return True
    return False


def mentions(query: str, table: str) -> bool:
    """Whether the name of a table, written as it is shown, is among its words, with or without a schema."""
    words = list(_tokens(table))
    return bool(words) and _bare(words[-1]) in map(_bare, _tokens(query))


def created(query: str) -> str | None:
    """Returns the object that it creates: `extension hstore`, `table audit.log`; None if it isn't one CREATE
    of a named object.

    CREATE TABLE … AS and the like read tables as well, so that what they wait for may be one of these.
    """
    statements = [one for one in _statements(query) if one[0] not in _PREPARATIONS]
    if len(statements) != 1:
        return None
    tokens = _creation_within(query) if statements[0][0] == "do" else statements[0]
    if tokens[:1] != ("create",):
        return None
    at = 1
    while tokens[at : at + 1] and tokens[at] in _BEFORE_KINDS:
        at += 1
    kind = tokens[at] if at < len(tokens) else ""
    if kind not in _CREATED or tokens[1:2] in (("temp",), ("temporary",)):
        return None
    at += 1
    while tokens[at : at + 1] and tokens[at] in ("concurrently", "if", "not", "exists"):
        at += 1
    name, end = _name(tokens, at)
    if not name or (kind == "index" and name == ("on",)) or (kind == "table" and "as" in tokens[end:]):
        return None
    shown = name[1:] if len(name) > 1 and name[0] == "public" else name
    # CREATE USER and CREATE GROUP are CREATE ROLE.
    kind = "role" if kind in ("user", "group") else kind
    return f"{kind} {'.'.join(map(as_written, shown))}"


def _creation_within(query: str) -> tuple[str, ...]:
    """The CREATE of a DO block that does nothing else which could wait for a transaction; else nothing."""
    body = _BLOCK.search(query)
    tokens = _tokens(body[2]) if body else ()
    creations = [at for at, word in enumerate(tokens) if word == "create"]
    if len(creations) != 1 or _WAITING_WORDS.intersection(tokens):
        return ()
    rest = tokens[creations[0] :]
    return rest[: rest.index(";")] if ";" in rest else rest


def truncated(query: str) -> tuple[str, ...]:
    """The tables that TRUNCATE names, as they are written; empty if it is anything else."""
    found: list[str] = []
    for statement in _statements(query):
        if statement[0] != "truncate":
            continue
        start = 2 if statement[1:2] == ("table",) else 1
        found += [".".join(map(as_written, name)) for name in _names(statement, start)]
    return tuple(found)


def as_written(part: str) -> str:
    """One part of a name as it is written in a statement: `users`, `"My Table"`."""
    return part if _SIMPLE.fullmatch(part) else '"{}"'.format(part.replace('"', '""'))


def _same(name: Name, table: Name) -> bool:
    schema = table[0] if len(table) > 1 else "public"
    return name[-1:] == table[-1:] and (len(name) == 1 or name[-2] == schema)


@lru_cache(maxsize=256)
def effects(query: str) -> Effects | None:
    """Returns what the statement writes and locks by its own words; None if that isn't certain or visible."""
    statements = [one for one in _statements(query) if one[0] not in _PREPARATIONS]
    if not statements or any(one[0] not in _ANALYSED for one in statements):
        return None
    cut_off = len(query.encode()) >= _MAYBE_CUT_OFF
    writes = [write for one in statements for write in _writes(one, cut_off)]
    if cut_off and statements[-1][0] not in ("insert", "update", "delete", "merge", "copy"):
        return None  # it may write further on
    locks_rows = any(
        one[at] == "for" and one[at + 1 : at + 2] and one[at + 1] in ("update", "share", "no", "key")
        for one in statements
        for at in range(len(one))
    )
    return Effects(tuple(writes), locks_rows)


def _writes(tokens: Sequence[str], cut_off: bool) -> Iterator[Write]:
    for at, word in enumerate(tokens):
        before, after = tokens[at - 1] if at else "", tokens[at + 1] if at + 1 < len(tokens) else ""
        if word == "update" and before not in _NO_STATEMENT_AFTER:
            start = at + 2 if after == "only" else at + 1
            table, end = _name(tokens, start)
            if table:
                yield Write("UPDATE", table, _set_columns(tokens, end, cut_off), updates=True)
        elif (word, after) in (("insert", "into"), ("delete", "from"), ("merge", "into")):
            start = at + 3 if tokens[at + 2 : at + 3] == ("only",) else at + 2
            table, end = _name(tokens, start)
            rest = tokens[end:]
            if word == "insert":
                yield Write("INSERT", table, updates=_follow(rest, "do", "update") or cut_off)
            elif word == "delete":
                yield Write("DELETE", table, frozenset(), updates=True)
            else:
                inserts = _follow(rest, "then", "insert") or cut_off
                columns = None if inserts else _merged_columns(tokens, end, cut_off)
                yield Write("MERGE", table, columns, updates=True)
        elif word == "copy" and not at:
            table, end = _name(tokens, 1)
            if "from" in tokens[end:]:
                yield Write("COPY", table)


def _follow(tokens: Sequence[str], first: str, second: str) -> bool:
    return any(pair == (first, second) for pair in pairwise(tokens))


def _merged_columns(tokens: Sequence[str], start: int, cut_off: bool) -> frozenset[str] | None:
    found: frozenset[str] = frozenset()
    for at in range(start, len(tokens)):
        if tokens[at] == "update":
            columns = _set_columns(tokens, at + 1, cut_off)
            if columns is None:
                return None
            found |= columns
    return found


def _set_columns(tokens: Sequence[str], start: int, cut_off: bool) -> frozenset[str] | None:
    """The columns of the SET that comes next; None if there is none, or it isn't there to its end."""
    while start < len(tokens) and tokens[start] != "set":
        start += 1
    found: set[str] = set()
    depth, at, is_start = 0, start + 1, True
    while at < len(tokens):
        word = tokens[at]
        if depth == 0 and (word in _END_OF_SET or word == ")"):
            return frozenset(found)
        if is_start and word == "(":
            end = tokens.index(")", at) if ")" in tokens[at:] else len(tokens)
            found.update(_bare(one) for one in tokens[at + 1 : end] if one != ",")
            at = end
        elif is_start:
            found.add(_bare(word))
        depth += (word in ("(", "[") and not is_start) - (word in (")", "]") and not is_start)
        is_start = depth == 0 and word == ","
        at += 1
    return None if cut_off or depth or start >= len(tokens) else frozenset(found)


@lru_cache(maxsize=256)
def _statements(query: str) -> tuple[tuple[str, ...], ...]:
    found: list[list[str]] = [[]]
    for token in _tokens(query):
        if token == ";":
            found.append([])
        else:
            found[-1].append(token)
    return tuple(tuple(one) for one in found if one)


def _tokens(query: str) -> tuple[str, ...]:
    """Words in lower case, quoted names with a leading quote, signs; strings as `''`, comments left out."""
    found: list[str] = []
    for token in sql_tokens.tokens(query):
        if token.kind == "literal":
            found.append("''")
        elif token.kind == "quoted":
            found.append('"' + _as_name(token.value))
        elif token.kind != "comment":
            found.append(_as_name(token.text.lower()))
    return tuple(found)


def _as_name(word: str) -> str:
    """A name as the server knows it: cut off (truncate_identifier, src/backend/parser/scansup.c)."""
    if len(word) <= _LONGEST_NAME // 4:
        return word
    return word.encode(errors="replace")[:_LONGEST_NAME].decode(errors="ignore")


def _names(tokens: Sequence[str], start: int) -> Iterator[Name]:
    """The names of a list, separated by commas, that begins at `start`."""
    while start < len(tokens):
        name, start = _name(tokens, start + (tokens[start] == "only"))
        if not name:
            return
        yield name
        start += tokens[start : start + 1] == ("*",)
        if tokens[start : start + 1] != (",",):
            return
        start += 1


def _name(tokens: Sequence[str], start: int) -> tuple[Name, int]:
    """A name, and where it ends; an empty one if there is none."""
    parts: list[str] = []
    while start < len(tokens) and (
        tokens[start][0] == '"' or tokens[start][0].isalpha() or tokens[start][0] == "_"
    ):
        parts.append(_bare(tokens[start]))
        start += 1
        if tokens[start : start + 1] != (".",):
            break
        start += 1
    return tuple(parts), start


def _bare(token: str) -> str:
    return token[1:] if token[0] == '"' else token
