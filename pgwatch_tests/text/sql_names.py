"""Names and literals in SQL that people see and may paste: each runs as it is printed. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def shown(name: str) -> str:
    """Returns a name as people see it: each byte that isn't UTF-8 (in a SQL_ASCII database) as `\\xNN`."""
    return name.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")


def identifier(name: str) -> str:
    """Returns a name as an identifier, always quoted: which words are keywords differs between versions.

    Characters that can't be seen are in their escape (U&"…"), so that the statement can be pasted. Bytes that
    aren't UTF-8 (in a SQL_ASCII database) have none: they are shown as `\\xNN`.
    PostgreSQL manual, Lexical Structure, Identifiers and Key Words.
    """
    readable = shown(name)
    doubled = readable.replace('"', '""')
    return f'"{doubled}"' if readable.isprintable() else f'U&"{_escaped(doubled)}"'


def qualified(schema: str, name: str) -> str:
    """Returns `schema.name` as quoted identifiers."""
    return f"{identifier(schema)}.{identifier(name)}"


def identifiers(names: Iterable[str]) -> str:
    """Returns quoted identifiers separated by commas."""
    return ", ".join(map(identifier, names))


def literal(text: str) -> str:
    """Returns a string literal; with escapes (U&'…') where a character can't be seen."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'" if text.isprintable() else f"U&'{_escaped(doubled)}'"


def _escaped(text: str) -> str:
    return "".join(
        character if character.isprintable() and character != "\\" else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\{code:04X}" if code < 0x10000 else f"\\+{code:06X}"
