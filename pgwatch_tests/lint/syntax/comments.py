"""The comments of a file, told apart from strings that look like them."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_tests.lint.syntax import typescript_tree


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment with its signs; lines and columns are counted from 1."""

    line: int
    column: int
    text: str


def of_python(text: str) -> Iterator[Comment]:
    """Yields the comments of a Python file, as far as its tokens can be read."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield Comment(token.start[0], token.start[1] + 1, token.string)
    except (tokenize.TokenError, SyntaxError):
        return


def of_typescript(data: bytes, tsx: bool) -> Iterator[Comment]:
    """Yields the comments of a TypeScript file. Parses it again: few files have one that is asked for."""
    lines = data.split(b"\n")
    for node in typescript_tree.comments(data, tsx):
        row, column_bytes = node.start_point
        before = lines[row][:column_bytes].decode("utf-8", "replace")
        yield Comment(row + 1, len(before) + 1, (node.text or b"").decode("utf-8", "replace"))


def of_yaml(text: str) -> Iterator[Comment]:
    """Yields the comments of a YAML file."""
    for number, line in enumerate(text.split("\n"), 1):
        at = _comment_in(line)
        if at is not None:
            yield Comment(number, at + 1, line[at:])


def _comment_in(line: str) -> int | None:
    """Where the comment of a line of YAML begins: at its start or behind a space, and in no quotes."""
    quote = ""
    for at, sign in enumerate(line):
        before = line[at - 1] if at else " "
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"" and before in " [{,(":
            quote = sign
        elif sign == "#" and before.isspace():
            return at
    return None
