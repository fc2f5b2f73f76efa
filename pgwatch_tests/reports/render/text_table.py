"""Tables of plain text, as all reports for people lay them out."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.reports.sections import Section


def table(headers: Sequence[str], alignment: str, rows: Sequence[Sequence[str]]) -> str:
    """A head, a rule, and a line per row, without a line break at the end.

    `alignment` has an `l` or `r` for each column. Cells are plain text already.
    """
    # Only here: the dashboard shows the rows of some reports without it.
    from tabulate import tabulate

    # Without `disable_numparse`, a table named "1e5" would become the number 100000.
    return tabulate(
        rows,
        headers,
        tablefmt="simple",
        colalign=["right" if side == "r" else "left" for side in alignment],
        disable_numparse=True,
        preserve_whitespace=True,
    )


def written(section: Section) -> str:
    """The section, with its heading in place of the first column's name."""
    first, *others = section.columns
    return table((section.heading or first, *others), section.alignment, section.rows)
