"""Other people's text in Markdown: no markup, no links, no way out of the cell or block it is in."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from pgwatch_tests.reports.sections import Section
from pgwatch_tests.text.plain_text import plain

_BACKTICKS = re.compile(r"`+")
# A step's summary may have 1 MiB (GitHub's manual, Workflow commands).
MOST_BYTES = 900 * 1024
"""GitHub drops a step's summary as a whole once it has more than 1 MiB."""
_MOST_ROWS = 100
_PIPE = re.compile(r"(\\*)\|")


def code(text: str) -> str:
    """`text` as a code span; empty if there is nothing in it.

    In a code span nothing is markup but the backticks that end it: no link, mention or HTML is made of it
    (CommonMark 6.1), and no backslash escapes anything.
    """
    shown = plain(text).strip()
    if not shown:
        return ""
    ticks = _longest_run(shown) + 1
    pad = " " if "`" in shown else ""
    return f"{'`' * ticks}{pad}{shown}{pad}{'`' * ticks}"


def block(text: str) -> str:
    """`text`, lines that are plain already, as a fenced block that ends where we end it (CommonMark 4.5)."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text.rstrip(chr(10))}\n{fence}"


def table(
    headers: Sequence[str],
    alignment: str,
    rows: Sequence[Sequence[str]],
    heading: str = "",
    most: int = _MOST_ROWS,
    noun: str = "",
    total: Sequence[str] = (),
) -> Iterator[str]:
    """Blocks: the heading, and a table of cells that are Markdown already; nothing if there are no rows.

    `alignment` has an `l` or `r` for each column. Rows beyond `most` are left out, and their number told
    with what they are, `noun`. `total` is a last row, which never is.
    """
    if not rows:
        return
    if heading:
        yield heading
    yield grid(headers, alignment, [*rows[:most], *([total] if total else [])])
    if len(rows) > most:
        yield f"… and {len(rows) - most:,} more{f' {noun}' if noun else ''}."


def grid(headers: Sequence[str], alignment: str, rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; `alignment` has an `l` or `r` for each column."""
    rule = ["--:" if side == "r" else ":--" for side in alignment]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in (headers, rule, *rows))


def _cell(content: str) -> str:
    """The cell with its pipes escaped, also those in code spans (GFM 4.10)."""
    # A row is split before code spans are read, at pipes with an even number of backslashes before them.
    return _PIPE.sub(lambda match: f"{match[1]}{'' if len(match[1]) % 2 else chr(92)}|", content)


def folded(summary: str, blocks: Iterable[str]) -> Iterator[str]:
    """The blocks behind a line that opens them: HTML, since Markdown knows nothing of the kind.

    `summary` is HTML already: see `escaped`. Nothing if there are no blocks.
    """
    contents = list(blocks)
    if contents:
        yield f"<details><summary>{summary}</summary>"
        yield from contents
        yield "</details>"


def escaped(text: str) -> str:
    """`text` inside an element of HTML: no markup, and no Markdown, which isn't read in a block of HTML."""
    return html.escape(plain(text))


def written(section: Section, level: str, noun: str = "", total: Sequence[str] = ()) -> Iterator[str]:
    """Blocks of the section, its heading of that `level` (`###`); nothing if it has no rows."""
    heading = f"{level} {section.heading}" if section.heading else ""
    yield from table(section.columns, section.alignment, section.rows, heading, noun=noun, total=total)


def document(blocks: Iterable[str]) -> str:
    """The blocks, with an empty line between them."""
    return "\n\n".join(blocks) + "\n"


def _longest_run(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)
