"""Links of README and docs/ lead to files and headings that are there, on GitHub and on the site."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
READ = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
_HTML_LINK = re.compile(r'(?:src|srcset|href)="([^"]+)"')


def targets(path: Path) -> Iterator[str]:
    """Yields where a page's links, pictures and HTML lead."""
    for token in _flat(MarkdownIt().enable("table").parse(path.read_text(encoding="utf-8"))):
        if token.type in ("link_open", "image"):
            yield str(token.attrGet("href" if token.type == "link_open" else "src"))
        elif token.type in ("html_block", "html_inline") and "<!--" not in token.content:
            yield from _HTML_LINK.findall(token.content)


def _flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _flat(token.children or [])


@cache
def anchors(path: Path) -> frozenset[str]:
    """The ids of a page's headings, as GitHub makes them; python-markdown's are the same here."""
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    found: list[str] = []
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            text = "".join(child.content for child in token.children or [] if child.type != "html_inline")
            slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            number = sum(
                one == slug or re.fullmatch(rf"{re.escape(slug)}-\d+", one) is not None for one in found
            )
            found.append(f"{slug}-{number}" if number else slug)
    return frozenset(found)


@pytest.mark.parametrize("path", READ, ids=[str(path.relative_to(ROOT)) for path in READ])
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for target in targets(path):
        if re.match(r"(https?|mailto):", target):
            continue
        file, _, anchor = unquote(target).partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
        elif path in PAGES and not there.is_relative_to(ROOT / "docs"):
            broken.append(f"{target}, which the site hasn't")
    assert broken == []


def test_each_page_is_in_the_navigation() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    named = list(_pages(nav))
    assert sorted(named) == [str(path.relative_to(ROOT / "docs")) for path in PAGES]


def _pages(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from _pages(entry)


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '# A `b` c\n\n[x](y.md#z) ![p](p.svg) <img src="q.svg">\n\n<!-- <a href="n"> -->\n\n## A b c\n'
    )
    assert list(targets(page)) == ["y.md#z", "p.svg", "q.svg"]
    assert anchors(page) == {"a-b-c", "a-b-c-1"}
