"""The comments of a file, told apart from strings that look like them."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_tests.lint.syntax import typescript_tree

# A `#` that begins a line or stands behind a space, outside of quotes.
_YAML = re.compile(r"(?:[^'\"#]|'[^']*'|\"(?:[^\"\\]|\\.)*\"|(?<=\S)#|['\"])*?(?:^|(?<=\s))(?P<comment>#.*)")


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
        match = _YAML.match(line)
        if match is not None:
            yield Comment(number, match.start("comment") + 1, match["comment"])
