"""Verdict line: the sentences of a verdict on one line of any width, with marks beside the colours. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from pgwatch_tests.reports.verdict.verdict import Clause
from pgwatch_tests.text.toned_text import Toned, cut_end

TROUBLE, WELL = "● ", "✓ "
"""Marks before each trouble, and before a verdict that all is well."""

_BETWEEN = " · "
_BEFORE_HINT = ": "
_MORE = " …"
_BEGINNINGS = (
    *("nothing ", "no ", "all ", "the ", "connections ", "lock table ", "leaked rows "),
    *("tests unchanged ", "sessions unchanged ", "test schema ", "transaction "),
)


def text(clauses: Sequence[Clause]) -> str:
    """The whole verdict as one line of plain text."""
    return _BETWEEN.join(_words(clause, not position) for position, clause in enumerate(clauses))


def fitted(clauses: Sequence[Clause], width: int | None) -> tuple[Toned, ...]:
    """The verdict in at most `width` cells (None: any number), with its marks.

    What is calm is shortened and dropped before troubles are; an ellipsis stands for troubles that are
    dropped. The first sentence always stays; where its shortest form is too long, that is cut at its end.
    """
    for shown in chain(_with_all_troubles(clauses), _candidates(_without_hint(clauses))):
        more = _MORE if any(one.is_trouble for one in clauses[len(shown) :]) else ""
        line = _line(shown, more)
        if width is None or sum(map(_cells, line)) <= width:
            return line
    if not clauses or width is None:
        return ()
    *mark, sentence = _line((replace(clauses[0], forms=(clauses[0].anonymous or clauses[0].forms[-1],)),), "")
    room = width - sum(map(_cells, mark))
    return (*mark, replace(sentence, text=_cut_to_cells(sentence.text, room))) if room > 0 else ()


def _without_hint(clauses: Sequence[Clause]) -> Sequence[Clause]:
    return [replace(one, hint="") for one in clauses]


def _with_all_troubles(clauses: Sequence[Clause]) -> Iterator[tuple[Clause, ...]]:
    """Yields what may be shown that leaves no trouble out, the best first."""
    troubles = max(1, sum(one.is_trouble for one in clauses))
    for number in range(len(clauses), troubles - 1, -1):
        yield from _shorter(clauses[:number], after=1)
    yield from _shorter(clauses[:troubles], after=0)


def _candidates(clauses: Sequence[Clause]) -> Iterator[tuple[Clause, ...]]:
    """Yields what may be shown, the best first: without the names of the first sentence only in the end."""
    yield from _with_all_troubles(clauses)
    troubles = max(1, sum(one.is_trouble for one in clauses))
    for number in range(troubles - 1, 0, -1):
        yield from _shorter(clauses[:number], after=0)
    if clauses and clauses[0].anonymous:
        nameless = replace(clauses[0], forms=(clauses[0].anonymous,), anonymous="")
        yield from _candidates((nameless, *clauses[1:]))


def _shorter(clauses: Sequence[Clause], after: int) -> Iterator[tuple[Clause, ...]]:
    """Yields the sentences as long as they are, then shorter ones, from the last back to that at `after`.

    The first one keeps its names.
    """
    shown = [replace(one, forms=(*one.forms, one.anonymous)) if one.anonymous else one for one in clauses]
    shown[:1] = clauses[:1]
    yield tuple(shown)
    for position in range(len(shown) - 1, after - 1, -1):
        while len(shown[position].forms) > 1:
            shown[position] = replace(shown[position], forms=shown[position].forms[1:])
            yield tuple(shown)


def _line(clauses: Sequence[Clause], more: str) -> tuple[Toned, ...]:
    line: list[Toned] = []
    for position, clause in enumerate(clauses):
        if position:
            line.append(Toned(_BETWEEN, "quiet"))
        if clause.is_trouble:
            line.append(Toned(TROUBLE, clause.tone))
        elif clause.tone == "good" and not position:
            line.append(Toned(WELL, "good"))
        line.append(Toned(_words(clause, not position), clause.tone))
        if clause.hint:
            line += [Toned(_BEFORE_HINT, "quiet"), Toned(clause.hint, "notice")]
    return (*line, Toned(more, "warning")) if more else tuple(line)


def _words(clause: Clause, is_first: bool) -> str:
    """The longest form; as a sentence begins where it has no name in front."""
    words = clause.forms[0]
    return words[0].upper() + words[1:] if is_first and words.startswith(_BEGINNINGS) else words


def _cells(part: Toned) -> int:
    """The cells that a terminal gives to a text: two to a wide letter, none to a combining mark."""
    return sum(map(_width, part.text))


def _width(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1


def _cut_to_cells(sentence: str, room: int) -> str:
    cut = sentence
    while cut and sum(map(_width, cut)) > room:
        cut = cut_end(cut, len(cut) - 1)
        if cut == "…" and room < 1:
            return ""
    return cut
