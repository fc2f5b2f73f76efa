"""Pieces of reports that are text for a terminal, or Markdown, as their caller says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pgwatch_tests.reports.render import markdown_text, text_table
from pgwatch_tests.text.plain_text import plain

TableFormat = Literal["table", "markdown"]


def grid(headers: Sequence[str], alignment: str, rows: Sequence[Sequence[str]], form: TableFormat) -> str:
    """A table of cells that the format takes as they are."""
    if form == "markdown":
        return markdown_text.grid(headers, alignment, rows)
    return text_table.table(headers, alignment, rows)


def heading(words: str, form: TableFormat, level: int = 3) -> str:
    """The line of a heading; `level` is Markdown's."""
    return f"{'#' * level} {words}\n" if form == "markdown" else f"{words}\n"


def foreign(text: str, form: TableFormat) -> str:
    """Other people's text: in Markdown, nothing in it is markup."""
    return markdown_text.code(text) if form == "markdown" else plain(text)
