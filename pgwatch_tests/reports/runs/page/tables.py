"""Tables of a page that can be sorted and filtered, and are whole without a script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.reports.render.html_text import Child, Element, Lines, element
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural

_PART = re.compile(r"(?<=/)|(?<=::)")
MOST_CHARACTERS = 1000
"""Of a statement in a page: the recording has more of it."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and whether its cells are numbers."""

    title: str
    kind: Literal["text", "number"] = "text"
    is_sorted: bool = False
    """Whether the rows come with the largest of it first."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows, and by what it is sorted if that is something else."""

    content: tuple[Child, ...]
    sort: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row; `id` is what links lead to."""

    cells: tuple[Cell, ...]
    id: str = ""


def table(
    caption: str, columns: Sequence[Column], rows: Sequence[Row], total: int | None = None, noun: str = "row"
) -> Element | None:
    """The table under its caption; None if there are no rows.

    `total` says how many there are where `rows` are only the first. The roles keep it a table for screen
    readers on a phone, where its rows are drawn as cards.
    """
    if not rows:
        return None
    shown = ""
    if total is not None and total > len(rows):
        shown = f" · the first {len(rows):,} of {plural(total, noun)}; --format json has all"
    return element(
        "div",
        element(
            "table",
            element(
                "caption",
                caption,
                element("span", shown, class_="quiet") if shown else None,
                " ",
                element("span", class_="quiet", data_count="", role="status"),
                role="caption",
            ),
            element("thead", element("tr", *map(_heading, columns), role="row"), role="rowgroup"),
            element("tbody", *(_row(columns, row) for row in rows), role="rowgroup"),
            role="table",
        ),
        class_="wide",
    )


def _heading(column: Column) -> Element:
    return element(
        "th",
        column.title,
        scope="col",
        role="columnheader",
        class_="number" if column.kind == "number" else None,
        aria_sort="descending" if column.is_sorted else None,
    )


def _row(columns: Sequence[Column], row: Row) -> Element:
    cells = (
        element(
            "td",
            *cell.content,
            role="cell",
            class_="number" if column.kind == "number" else None,
            data_label=column.title,
            data_sort=cell.sort,
        )
        for column, cell in zip(columns, row.cells, strict=True)
    )
    return element("tr", *cells, id=row.id or None, role="row")


def text(*content: Child) -> Cell:
    """A cell of text and elements."""
    return Cell(content)


def name(foreign: str) -> Cell:
    """A cell with somebody's name for something."""
    return Cell((code(foreign),) if foreign else ())


def number(value: int) -> Cell:
    """A cell with a number."""
    return Cell((f"{value:,}",), value)


def seconds(value_s: float | None) -> Cell:
    """A cell with a duration; empty if it isn't known."""
    return Cell((), None) if value_s is None else Cell((durations.in_words(value_s),), round(value_s, 3))


def code(foreign: str) -> Element:
    """Somebody's name or text, in any direction of writing; lines break between the parts of a test's id."""
    first, *others = _PART.split(foreign)
    parts = (part for other in others for part in (element("wbr"), other))
    return element("code", first, *parts)


def block(statement: str) -> Element:
    """A statement, with its own line breaks; the rest of a very long one is left out."""
    cut = statement if len(statement) <= MOST_CHARACTERS else f"{statement[: MOST_CHARACTERS - 1]}…"
    return element("pre", Lines(cut), tabindex=0)


def folded(summary: Child, *content: Child) -> Element:
    """Details that open on demand."""
    return element("details", element("summary", summary), *content)


def pairs(*items: tuple[str, Child]) -> Element:
    """Terms and what they are; those without anything are left out."""
    lines: list[Element] = []
    for term, said in items:
        if said is not None and said != "":
            lines += [element("dt", term), element("dd", said)]
    return element("dl", *lines)
