"""Tables of Markdown, with text in their cells that comes from elsewhere."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

_BARRED_CODE = re.compile(r"`([^`|]*\|[^`]*)`")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown in which only the bar has to be marked."""
    return "\n".join(_line(cells) for cells in (head, ["---"] * len(head), *rows))


def _line(cells: Sequence[str]) -> str:
    # A bar in code: GitHub wants a backslash before it, python-markdown would show that. Both read HTML.
    in_html = (_BARRED_CODE.sub(_as_html, cell).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(in_html)} |"


def _as_html(code: re.Match[str]) -> str:
    return f"<code>{html.escape(code[1]).replace('|', '&#124;')}</code>"


def text(plain: str) -> str:
    """Plain text for Markdown, where `*`, `_`, `<` and `[` mean something; code in backticks stays code."""
    pieces = plain.split("`")
    pieces[::2] = ["".join(f"\\{one}" if one in "*_<[" else one for one in piece) for piece in pieces[::2]]
    return "`".join(pieces)
