"""A page of documentation, and what of it is run: files of a suite, and snippets in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

_NAMED = re.compile(r"(?:#|--|//) (?P<name>[\w.-]+(?:/[\w.-]+)*\.\w+)")
_COMMENT = re.compile(r"<!--\s*(?P<kind>[\w-]+):?(?P<text>.*?)-->", re.DOTALL)
_TEST = re.compile(r"^\s*(?:async )?def test_|^class Test", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page. `line` is that of its first line of text, counted from 1."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """What of a page is run."""

    path: Path
    files: dict[str, str]
    """Text by relative path, in the page's order; blocks of the same name are one file."""
    snippets: tuple[Block, ...]
    """Run in one namespace, one after the other."""
    options: tuple[str, ...]
    """More options of pytest."""
    fails: frozenset[str]
    """Names of the tests that fail, as the page says."""
    outputs: tuple[str, ...]
    """What the run prints, as the page shows it."""

    @property
    def is_run(self) -> bool:
        """Whether there is anything to run."""
        return bool(self.files or self.snippets)


def read_page(path: Path) -> Page:
    """Reads a page. Raises ValueError for a comment that says nothing known."""
    files: dict[str, str] = {}
    snippets: list[Block] = []
    options: list[str] = []
    fails: set[str] = set()
    outputs: list[str] = []
    printed = False
    for kind, block in _blocks(path.read_text()):
        if kind in ("output", "end"):
            printed = block.text.strip() == "pytest"
        elif printed:
            outputs.append(block.text)
        elif kind == "pytest":
            options += block.text.split()
        elif kind == "fails":
            fails |= set(block.text.split())
        elif name := _name(kind, block, path.stem):
            # At the place where it is in the page, so that a traceback names its line.
            before = files.get(name, "")
            missing = max(block.line - 1 - before.count("\n"), 0) if kind == "python" else 0
            files[name] = before + "\n" * missing + block.text
        elif kind == "python":
            snippets.append(block)
    return Page(path, files, tuple(snippets), tuple(options), frozenset(fails), tuple(outputs))


def shows(shown: str, output: str) -> bool:
    """Whether an output has what a page shows of it.

    Numbers, hashes and broken lines may differ, and so may how long ago something was seen; `…` is any text.
    """
    parts = (re.escape(part) for part in _shape(shown).split("…"))
    return re.search(".*?".join(parts), _shape(output)) is not None


def _shape(text: str) -> str:
    line = re.sub(r"\d[\d.,:]*", "0", re.sub(r"_[0-9a-f]{8}\b", "_0", " ".join(text.split())))
    # Only where the last look was that long ago.
    return line.replace(", 0 s before.", ".")


def _blocks(text: str) -> Iterator[tuple[str, Block]]:
    """Yields what is fenced and what is hidden in comments: its language or kind, and the block."""
    for token in MarkdownIt().parse(text):
        begin = (token.map or [0])[0] + 1
        if token.type == "fence":
            yield token.info.split(" ")[0], Block(begin + 1, token.content)
        elif token.type == "html_block":
            for match in _COMMENT.finditer(token.content):
                if match["kind"] not in ("python", "pytest", "fails", "output", "end"):
                    raise ValueError(
                        f"line {begin}: a comment begins with python, pytest: or fails:, or marks an output"
                    )
                yield match["kind"], Block(begin + 1, match["text"].lstrip("\n"))


def _name(kind: str, block: Block, page: str) -> str | None:
    """Returns the file that a block is, None for a snippet or what is only shown."""
    if match := _NAMED.fullmatch(block.text.partition("\n")[0].rstrip()):
        return match["name"]
    if kind == "python" and _TEST.search(block.text):
        return f"test_{page}.py"
    return None
