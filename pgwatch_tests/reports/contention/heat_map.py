"""Heat map of contention: which test has blocked which, shaded by the time that this took. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgwatch_tests.locks.contention.contention import Pair
from pgwatch_tests.locks.contention.ranking import BlockedTime
from pgwatch_tests.reports.locks.test_labels import label_of_test
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_test
from pgwatch_tests.text.toned_text import Tone, Toned, text_of

Line = tuple[Toned, ...]
Place = tuple[int, int]
"""The number of the blocking test, a row, and that of the waiting one, a column; from 0."""

_SHADES: tuple[tuple[float, str, Tone, str], ...] = (
    (1.0, "░", "notice", "under 1 s"),
    (10.0, "▒", "notice", "10 s"),
    (60.0, "▓", "warning", "1 min"),
    (float("inf"), "█", "trouble", "more"),
)
"""Below so many seconds: the sign, its tone, and how the legend calls it."""
_CELL = 3
_NARROWEST_NAME = 24
"""Fewer tests, rather than names that nobody can read."""
_HEAD, _LEGEND = 2, 2
"""Lines above and below the rows."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Tests that blocked or waited, those of the most blocked time first. Names are plain."""

    tests: tuple[str, ...]
    blocked_s: Mapping[Place, float]
    """The seconds of each pair; pairs with a test that isn't shown are left out."""
    hidden: int
    """How many tests there are besides."""


def heat_map(pairs: Sequence[tuple[Pair, BlockedTime]], most: int) -> HeatMap:
    """The map of at most `most` tests: those of the pairs with the most time, as long as both have room."""
    sums: defaultdict[str, float] = defaultdict(float)
    for pair, blocked in pairs:
        for side in {_blocker(pair), _waiter(pair)}:
            sums[side] += blocked.blocked_s
    chosen: set[str] = set()
    # Those alike by name: the order mustn't change from poll to poll.
    for pair, _ in sorted(pairs, key=lambda one: (-one[1].blocked_s, _blocker(one[0]), _waiter(one[0]))):
        both = {_blocker(pair), _waiter(pair)}
        if len(chosen | both) <= most:
            chosen |= both
    by_time = sorted(sums, key=lambda name: (-sums[name], name))
    single = [name for name in by_time if name not in chosen][: max(0, most - len(chosen))]
    tests = tuple(name for name in by_time if name in chosen or name in single)
    number = {name: position for position, name in enumerate(tests)}
    seconds: defaultdict[Place, float] = defaultdict(float)
    for pair, blocked in pairs:
        if _blocker(pair) in number and _waiter(pair) in number:
            seconds[number[_blocker(pair)], number[_waiter(pair)]] += blocked.blocked_s
    return HeatMap(tests, dict(seconds), len(sums) - len(tests))


def most_tests(width: int, height: int, pairs: Sequence[tuple[Pair, BlockedTime]]) -> int:
    """How many tests of `pairs` a map of that size can have."""
    whole = heat_map(pairs, max(0, height - _HEAD - _LEGEND))
    names = min(_NARROWEST_NAME, max(map(len, _names(whole)), default=0))
    return max(0, min((width - names - _CELL) // _CELL, len(whole.tests)))


def whole_width(shown: HeatMap) -> int:
    """The characters of a line that shows all names in full, and the legend."""
    longest = max(map(len, _names(shown)), default=0)
    return max(longest + _CELL * (len(shown.tests) + 1), len(text_of(_legend())))


def place_of(shown: HeatMap, pair: Pair) -> Place | None:
    """The place of a pair; None if one of its tests isn't shown."""
    names = {name: position for position, name in enumerate(shown.tests)}
    blocker, waiter = names.get(_blocker(pair)), names.get(_waiter(pair))
    return None if blocker is None or waiter is None else (blocker, waiter)


def place_at(shown: HeatMap, column: int, line: int, width: int) -> Place | None:
    """The place that is drawn at a column and line of the map; None for one beside it."""
    blocker, waiter = line - _HEAD, (column - _name_width(shown, width) - _CELL) // _CELL
    inside = 0 <= blocker < len(shown.tests) and 0 <= waiter < len(shown.tests)
    return (blocker, waiter) if inside else None


def heat_lines(shown: HeatMap, width: int, selected: Place | None = None) -> list[Line]:
    """The map in lines of at most `width` characters; the selected cell is in brackets."""
    numbers = range(len(shown.tests))
    names, name_width = _names(shown), _name_width(shown, width)
    title = "blocks ▸".rjust(name_width + _CELL)[: name_width + _CELL]
    lines: list[Line] = [
        (Toned("Blocked time by pair of tests"),),
        (Toned(title, "quiet"), *(Toned(f"{number + 1:>{_CELL - 1}} ", "quiet") for number in numbers)),
    ]
    for row in numbers:
        is_lit = selected is not None and selected[0] == row
        name = shortened_test(names[row], name_width).ljust(name_width)
        head = Toned(f"{row + 1:>{_CELL - 1}} ", "quiet"), Toned(name, "lit" if is_lit else "")
        lines.append((*head, *(_cell(shown, (row, column), selected) for column in numbers)))
    more = f"and {plural(shown.hidden, 'more test')}" if shown.hidden else ""
    return [*lines, _legend(), (Toned(more, "quiet"),)]


def _legend() -> Line:
    legend = [Toned("less than ", "quiet")]
    for _, sign, tone, words in _SHADES:
        legend += [Toned(f"{sign} ", tone), Toned(f"{words.removeprefix('under ')}  ", "quiet")]
    return tuple(legend)


def _cell(shown: HeatMap, place: Place, selected: Place | None) -> Toned:
    sign, tone = _shade(shown.blocked_s.get(place))
    return Toned(f"[{sign}]", "lit") if place == selected else Toned(f" {sign} ", tone)


def _shade(blocked_s: float | None) -> tuple[str, Tone]:
    # A wait that only one poll has seen is one, though no time is credited for it.
    if blocked_s is None:
        return "·", "quiet"
    return next((sign, tone) for limit, sign, tone, _ in _SHADES if blocked_s < limit)


def _name_width(shown: HeatMap, width: int) -> int:
    longest = max(map(len, _names(shown)), default=0)
    return max(0, min(longest, width - _CELL * (len(shown.tests) + 1)))


def _names(shown: HeatMap) -> list[str]:
    """The tests' own names; of those alike, also where they are."""
    labels = [label_of_test(test) for test in shown.tests]
    numbers = Counter(label.name for label in labels)
    return [
        label.name if numbers[label.name] == 1 else f"{label.name} {label.mark or label.short_place}".rstrip()
        for label in labels
    ]


def _blocker(pair: Pair) -> str:
    return plain(pair.blocker)


def _waiter(pair: Pair) -> str:
    return plain(pair.waiter)
