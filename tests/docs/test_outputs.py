"""What a page shows as printed is between marks, by which another test knows it: none is written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.docs.test_links import READ, ROOT

# A sketch of a test in Python, which needs a server that isn't there.
_SKETCHES = {("docs/interleave_requests.md", "def test_a_server(pgwatch_dsn):")}


def unmarked(text: str) -> Iterator[str]:
    """Yields the first line of each block of output that stands between no marks."""
    marked = False
    for token in MarkdownIt().parse(text):
        if token.type == "html_block" and token.content.startswith(("<!-- output: ", "<!-- end")):
            marked = token.content.startswith("<!-- output: ")
        elif token.type == "fence" and not marked:
            lines = token.content.splitlines()
            commands_only = all(line.startswith("$ ") or not line for line in lines)
            if token.info in ("", "text") or (token.info == "console" and not commands_only):
                yield lines[0]


@pytest.mark.parametrize("path", READ, ids=[str(path.relative_to(ROOT)) for path in READ])
def test_outputs_are_marked(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    found = {(name, line) for line in unmarked(path.read_text(encoding="utf-8"))}
    assert found <= _SKETCHES


def test_an_output_without_marks_is_found() -> None:
    text = "```console\n$ ls\na\n```\n\n<!-- output: b -->\n```text\nb\n```\n<!-- end -->\n\n```\nc\n```\n"
    assert list(unmarked(text)) == ["$ ls", "c"]
