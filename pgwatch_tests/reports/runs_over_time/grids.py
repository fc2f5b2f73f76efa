"""Tables that are text for a terminal, or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pgwatch_tests.reports.render import markdown_text, text_table

Form = Literal["table", "markdown"]


def grid(headers: Sequence[str], alignment: str, rows: Sequence[Sequence[str]], form: Form) -> str:
    """A table of cells that the format takes as they are."""
    if form == "markdown":
        return markdown_text.grid(headers, alignment, rows)
    return text_table.table(headers, alignment, rows)


def heading(words: str, form: Form) -> str:
    """A heading of a section, and the empty line behind it."""
    return f"{'### ' if form == 'markdown' else ''}{words}\n"
