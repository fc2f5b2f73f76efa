"""A detail as lines of toned text: a title, then labelled texts, wrapped; what to do is never cut. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pgwatch_tests.text.toned_text import Tone, Toned, text_of

Line = tuple[Toned, ...]
KeyName = Callable[[str], str]
"""Returns the key of a command, by the id that a keymap names, as texts write it: `y`, `enter`."""

NOW, WHY = "Now", "Why"
"""The labels of what keys do, and of what is wrong."""
_LABEL = 6
# A statement is for copying: it stays on one line.
_KEPT = re.compile(r"\bSELECT pg_\w+\(|ROLLBACK PREPARED ")
_FIGURE = re.compile(r" *[\d,]+  ")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with a label; a long one is wrapped. `vital` texts say what to do, and are never cut."""

    label: str
    lines: tuple[Line, ...]
    vital: bool = False


@dataclass(frozen=True, slots=True)
class Detail:
    """What is known of a row."""

    title: Line
    texts: tuple[Labelled, ...]
    short_title: Line = ()
    """A title for one line, where there is no room for the whole one."""


def labelled(label: str, text: str, tone: Tone = "", *, vital: bool = False) -> Labelled:
    """A plain text of one tone with its label."""
    return Labelled(label, ((Toned(text, tone),),), vital)


def detail_lines(detail: Detail, width: int, height: int | None = None, opens: str = "⏎") -> list[Line]:
    """The lines of a detail, at most `width` characters wide.

    What comes before a vital text gives way, so that all vital ones are within the first `height` lines;
    where there isn't even room for those, what keys do now comes before the others, and the last line says
    which key `opens` the rest. What is wrong has a line before all of these, and before the title.
    """
    blocks = [(one, list(wrapped(one, width))) for one in detail.texts]
    titled = list(_wrap(detail.title, width))
    everything = [*titled, *(line for _, lines in blocks for line in lines)]
    vital = sum(len(lines) for one, lines in blocks if one.vital)
    last_vital = max((number for number, (one, _) in enumerate(blocks) if one.vital), default=-1)
    if height is None or last_vital < 0 or len(everything) <= height:
        return everything
    why = next((block for one, block in blocks if one.label == WHY and not one.vital), [])
    if height <= vital + bool(why):
        first = [why[0] if len(why) == 1 else _cut(why[0], width)] if why and height > 1 else []
        room = height - len(first)
        urgent = sorted((one for one in blocks if one[0].vital), key=lambda one: one[0].label != NOW)
        if vital <= room:
            urgent = [one for one in blocks if one[0].vital]
        lines = [*first, *(line for _, block in urgent for line in block)][:height]
        return lines if vital <= room else [*lines[:-1], _with_hint(lines[-1], width, opens)]
    room = height - vital
    lines = [titled[0] if len(titled) == 1 else _short(detail, titled[0], width)] if room else []
    room -= len(lines)
    for one, block in blocks[: last_vital + 1]:
        if one.vital:
            lines += block
        elif room:
            lines += (
                block
                if len(block) <= room
                else [*block[: room - 1], _with_hint(block[room - 1], width, opens)]
            )
            room -= min(room, len(block))
    return [*lines, *(line for _, block in blocks[last_vital + 1 :] for line in block)]


def hung(text: str, width: int, indent: int) -> list[Line]:
    """`text` in lines of at most `width` characters, all but the first indented; whole if that is narrow."""
    if width <= 2 * indent or len(text) <= width:
        return [(Toned(text),)]
    further = _wrap((Toned(text[indent:]),), width - indent)
    first = next(further)
    return [(Toned(text[:indent]), *first), *((Toned(" " * indent), *line) for line in further)]


def joined(lines: Sequence[Line]) -> tuple[Toned, ...]:
    """Lines as one text with line breaks."""
    parts: list[Toned] = []
    for number, line in enumerate(lines):
        parts += [Toned("\n")] if number else []
        parts += line
    return tuple(parts)


def _short(detail: Detail, first: Line, width: int) -> Line:
    """The short title, or else the first line of the whole one."""
    short = "".join(part.text for part in detail.short_title)
    return detail.short_title if 0 < len(short) <= width else _cut(first, width)


def _cut(line: Line, width: int) -> Line:
    """A line that isn't the last one of its text."""
    text = "".join(part.text for part in line)
    return (*_slice(line, 0, len(text[: width - 1].rstrip())), Toned("…", "quiet"))


def _with_hint(line: Line, width: int, opens: str) -> Line:
    more = f"  {opens} all"
    text = "".join(part.text for part in line).rstrip()
    kept = text[: width - len(more) - 1].rstrip()
    return (*_slice(line, 0, len(kept)), Toned("…"), Toned(more, "notice"))


def wrapped(one: Labelled, width: int, room: int = _LABEL) -> Iterator[Line]:
    """The lines of a labelled text, below each other after the `room` characters of its label."""
    label = one.label.ljust(room)
    for line in one.lines:
        for part in _hanging(line, max(10, width - room)):
            yield (Toned(label, "quiet"), *part)
            label = " " * room


def _hanging(line: Line, width: int) -> Iterator[Line]:
    """`line` wrapped; what belongs to a figure at its beginning stays beside it."""
    text = text_of(line)
    figure = _FIGURE.match(text)
    if figure is None or len(text) <= width or width <= 2 * figure.end():
        yield from _wrap(line, width)
        return
    lead = _slice(line, 0, figure.end())
    for part in _wrap(_slice(line, figure.end(), len(text)), width - figure.end()):
        yield (*lead, *part)
        lead = (Toned(" " * figure.end()),)


def _wrap(line: Line, width: int) -> Iterator[Line]:
    """`line` in lines of at most `width` characters, at least 1, broken at spaces where that can be."""
    width = max(1, width)  # a pane with its border may have no room at all
    text = _KEPT.sub(lambda match: match[0].replace(" ", "\xa0"), "".join(part.text for part in line))
    start = end = 0
    for word in re.finditer(r"[^ ]+ *|^ +", text):
        stop = word.start() + len(word[0].rstrip(" "))
        if stop - start > width and end > start:
            yield _slice(line, start, end)
            start = word.start()
        while stop - start > width:
            yield _slice(line, start, start + width)
            start += width
        end = stop
    yield _slice(line, start, max(end, start))


def _slice(line: Line, start: int, end: int) -> Line:
    found = []
    at = 0
    for part in line:
        piece = part.text[max(0, start - at) : max(0, end - at)]
        if piece:
            found.append(Toned(piece, part.tone))
        at += len(part.text)
    return tuple(found)
