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


def document(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A header and lines of cells as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return out.getvalue()


def document_of_lines(columns: Sequence[str], lines: Iterable[Mapping[str, str]]) -> str:
    """The same of lines by column; what a line doesn't have is an empty cell. Each goes through `cell`."""
    return document(columns, ([cell(line.get(column, "")) for column in columns] for line in lines))
