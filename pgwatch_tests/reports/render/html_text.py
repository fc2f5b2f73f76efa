"""Other people's text in HTML: elements built from text and attributes, so that nothing in it is markup.

A string is always text: it is made plain (`text/plain_text.py`) and escaped when the element is written.
There is no way to put markup in as a string, and no attribute that runs or loads anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from pgwatch_tests.text.plain_text import plain, plain_lines

_NAME = re.compile(r"[a-z][a-z0-9]*")
_INERT = frozenset(
    {
        *("charset", "class", "content", "for", "hidden", "http-equiv", "id", "lang", "name", "open", "role"),
        *("colspan", "scope", "placeholder", "spellcheck", "tabindex", "type", "value"),
        *(
            "cx",
            "cy",
            "d",
            "fill",
            "height",
            "patternUnits",
            "points",
            "preserveAspectRatio",
            "r",
            "transform",
        ),
        *("text-anchor", "viewBox", "width", "x", "x1", "x2", "y", "y1", "y2"),
    }
)
"""Attributes that there are, with `href`, `aria-…` and `data-…`: none runs, styles or loads anything."""
_FOR_READERS = re.compile(r"(aria|data)-[a-z]+")
_VOID = frozenset({"br", "hr", "input", "meta", "wbr"})
_EMPTY = frozenset({"circle", "line", "path", "polygon", "rect", "use"})
"""Elements of SVG without content."""
_NEVER = frozenset(
    {"base", "embed", "form", "frame", "iframe", "link", "object", "script", "style", "template"}
)

_ENDS_A_LINE = frozenset({"h1", "h2", "h3", "li", "p", "section", "svg", "table", "tr"})
"""So that a page can be read, and compared, line by line."""

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Lines:
    """Text whose own line breaks stay, for `pre`."""

    text: str


@dataclass(frozen=True, slots=True)
class Static:
    """A style or a script of this package. A page allows it by its hash, and so no other one."""

    name: str
    """`style` or `script`."""
    text: str

    def __post_init__(self) -> None:
        if self.name not in ("style", "script") or "</" in self.text or "<!--" in self.text:
            raise ValueError(f"not a {self.name} that can stand in a page as it is")

    @property
    def source(self) -> str:
        """The source expression of a Content-Security-Policy that allows it, and nothing else."""
        digest = hashlib.sha256(self.text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"


@dataclass(frozen=True, slots=True)
class Element:
    """An element of HTML, or of SVG in it; `element` makes them."""

    name: str
    attributes: tuple[tuple[str, str], ...]
    children: tuple[Element | Static | Lines | str, ...]


Child = Element | Static | Lines | str | None


def element(name: str, /, *children: Child, **attributes: Value) -> Element:
    """An element with these children, None left out; strings are text.

    Attributes: `class_="number"`, `data_sort=1.5`, `hidden=True`; None and False leave one out. Raises
    ValueError for an element or attribute that could run or load anything: a programming error.
    """
    if not _NAME.fullmatch(name) or name in _NEVER:
        raise ValueError(f"no element of a report: {name!r}")
    known = []
    for key, value in attributes.items():
        attribute = key.removesuffix("_").replace("_", "-")
        if value is None or value is False:
            continue
        if attribute == "href":
            if not str(value).startswith("#"):
                raise ValueError("an address outside of the page: use `link`")
        elif attribute not in _INERT and not _FOR_READERS.fullmatch(attribute):
            raise ValueError(f"no attribute of a report: {attribute!r}")
        known.append((attribute, "" if value is True else str(value)))
    return Element(name, tuple(known), tuple(child for child in children if child is not None))


def link(text: str, address: str) -> Element | str:
    """A link to another page, which nothing but a click follows; text where `address` is none of a page."""
    if not re.fullmatch(r"https?://[^\s\"'<>\\]+", address) or plain(address) != address:
        return text
    attributes = (("href", address), ("rel", "noreferrer noopener"))
    return Element("a", attributes, (text,))


def page(title: str, style: Static, script: Static, *body: Child) -> str:
    """A document that has all it needs in it: its policy lets it load and send nothing."""
    policy = (
        f"default-src 'none'; style-src {style.source}; script-src {script.source}; "
        "base-uri 'none'; form-action 'none'"
    )
    root = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=policy),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("meta", name="referrer", content="no-referrer"),
            element("title", title),
            style,
        ),
        element("body", *body, script),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{''.join(_written(root))}\n"


def written(root: Element) -> str:
    """The element as HTML."""
    return "".join(_written(root))


def _written(node: Element | Static | Lines | str) -> Iterator[str]:
    if isinstance(node, str):
        yield escape(plain(node), quote=False)
    elif isinstance(node, Lines):
        yield escape("\n".join(plain_lines(node.text)), quote=False)
    elif isinstance(node, Static):
        yield f"<{node.name}>{node.text}</{node.name}>"
    else:
        attributes = "".join(
            f' {name}="{escape(plain(value))}"' if value else f" {name}" for name, value in node.attributes
        )
        if node.name in _VOID:
            yield f"<{node.name}{attributes}>"
        elif node.name in _EMPTY and not node.children:
            yield f"<{node.name}{attributes}/>"
        else:
            # The first line break in `pre` is no part of its text (HTML, 13.2.6.4.7).
            yield f"<{node.name}{attributes}>{chr(10) if node.name == 'pre' else ''}"
            for child in node.children:
                yield from _written(child)
            yield f"</{node.name}>"
            if node.name in _ENDS_A_LINE:
                yield "\n"
