"""Tokens of an SQL text, also of one that was cut off. Pure.

After PostgreSQL's own lexer (src/backend/parser/scan.l; manual, Lexical Structure): what a string is, where
it ends, and what a comment is. What isn't a token of SQL becomes one of kind `other`; nothing is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["literal", "comment", "word", "quoted", "number", "parameter", "operator", "other"]

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>--[^\r\n]*|/\*)
    | (?P<escaped>[eE]'(?:[^'\\]|''|\\.)*+(?P<end_of_escaped>')?\\?)
    | (?P<plain>(?:[uU]&|[bBxXnN])?'(?:[^']|'')*+(?P<end_of_plain>')?)
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*+"?)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>\.?\d[\w.]*)
    | (?P<parameter>\$\d+)
    | (?P<operator>(?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?:])+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BACKSLASHED = re.compile(r"(?:[nN])?'(?:[^'\\]|''|\\.)*+(?P<end>')?\\?", re.DOTALL)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_KINDS: dict[str, Kind] = {
    "comment": "comment",
    "quoted": "quoted",
    "word": "word",
    "number": "number",
    "parameter": "parameter",
    "operator": "operator",
}
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_UNICODE = re.compile(r"\\(?:([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6}))")
_LAST_CODE = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Token:
    """`text[start:end]` of what was read; white space is no token."""

    kind: Kind
    start: int
    end: int
    text: str
    value: str
    """A literal's or comment's content, a quoted identifier's name; otherwise as `text`."""
    closed: bool = True
    """Whether a literal's end is there: the server cuts long statements."""

    @property
    def keyword(self) -> str:
        """A word in capitals; an empty string for all else."""
        return self.text.upper() if self.kind == "word" else ""


def tokens(text: str, *, backslashes: bool = False) -> Iterator[Token]:
    """The tokens of `text` in their order, comments included.

    With `backslashes`, plain strings have escapes, as under `standard_conforming_strings = off`.
    """
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:  # pragma: no cover  # `other` takes any character
            return
        group = match.lastgroup
        if match["space"]:
            at = match.end()
            continue
        if match["plain"] and backslashes and text[at] in "'nN":
            match = _BACKSLASHED.match(text, at) or match
            token = _escaped(text, at, match.end(), closed=match["end"] is not None)
        elif match["plain"]:
            token = _plain(text, at, match.end(), closed=match["end_of_plain"] is not None)
        elif match["escaped"]:
            token = _escaped(text, at, match.end(), closed=match["end_of_escaped"] is not None)
        elif match["dollar"]:
            token = _dollar_quoted(text, at, match["dollar"])
        elif match["comment"] == "/*":
            end = _end_of_comment(text, match.end())
            token = Token("comment", at, end, text[at:end], text[at + 2 : end].removesuffix("*/"))
        else:
            token = _simple(text, at, match.end(), _KINDS.get(group or "", "other"))
        yield token
        at = token.end


def is_ambiguous(token: Token) -> bool:
    """Whether a string of the text may end elsewhere under another `standard_conforming_strings`."""
    return token.kind == "literal" and token.text[0] in "'nN" and "\\'" in token.text


def _simple(text: str, start: int, end: int, kind: Kind) -> Token:
    written = value = text[start:end]
    if kind == "quoted":
        value = written[written.index('"') + 1 :].removesuffix('"').replace('""', '"')
        if written[0] in "uU":
            value = _UNICODE.sub(_character, value)
    elif kind == "comment":
        value = written[2:]
    return Token(kind, start, end, written, value)


def _plain(text: str, start: int, end: int, *, closed: bool) -> Token:
    inside = text[text.index("'", start) + 1 : end - closed]
    value = inside.replace("''", "'")
    if text[start] in "uU":
        value = _UNICODE.sub(_character, value)
    return Token("literal", start, end, text[start:end], value, closed)


def _escaped(text: str, start: int, end: int, *, closed: bool) -> Token:
    inside = text[text.index("'", start) + 1 : end - closed]
    return Token(
        "literal", start, end, text[start:end], _ESCAPE.sub(_character, inside.replace("''", "'")), closed
    )


def _dollar_quoted(text: str, start: int, tag: str) -> Token:
    begin = start + len(tag)
    end = text.find(tag, begin)
    if end < 0:
        return Token("literal", start, len(text), text[start:], text[begin:], closed=False)
    return Token("literal", start, end + len(tag), text[start : end + len(tag)], text[begin:end])


def _end_of_comment(text: str, at: int) -> int:
    """Comments nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, at):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


def _character(match: re.Match[str]) -> str:
    groups = match.groups()
    if match.re is _UNICODE:
        code = int(groups[0] or groups[1], 16)
    elif groups[4] is not None:
        return str(groups[4])
    elif groups[1] is not None:
        code = int(groups[1], 8)
    else:
        code = int(groups[0] or groups[2] or groups[3], 16)
    return chr(code) if code <= _LAST_CODE else match[0]
