"""Other people's text in CSV: nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from pgwatch_tests.text.plain_text import plain

# What makes a spreadsheet take a cell for a formula, full-width forms included (OWASP, CSV Injection).
_FORMULA = tuple("=+-@＝＋－＠")


def cell(text: str) -> str:
    """`text` as plain text; with an apostrophe before it if a spreadsheet would run it."""
    shown = plain(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def seconds(value_s: float | None) -> str:
    """`1.250`; empty if it isn't known."""
    return "" if value_s is None else f"{value_s:.3f}"


def document(columns: Sequence[str], lines: Iterable[Mapping[str, str]]) -> str:
    """A header, and lines by column; what a line doesn't have is an empty cell. Each goes through `cell`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell(line.get(column, "")) for column in columns] for line in lines)
    return out.getvalue()
