"""The heat map of contention on the screen: as many tests as there is room for, and the selected pair."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from pgwatch_tests.locks.contention.contention import Pair
from pgwatch_tests.locks.contention.ranking import BlockedTime
from pgwatch_tests.reports.contention.heat_map import (
    heat_lines,
    heat_map,
    most_tests,
    place_at,
    place_of,
    whole_width,
)
from pgwatch_tests.text.toned_text import Toned
from pgwatch_tests.tui.widgets.still_text import StillText

_SIDES = 3
"""Characters of its border and padding."""
Pairs = Sequence[tuple[Pair, BlockedTime]]


class HeatMapView(StillText):
    """Shows who has blocked whom. A click on a cell tells its pair."""

    class Clicked(Message):
        """Somebody clicked on the cell of a pair."""

        def __init__(self, pair: Pair) -> None:
            super().__init__()
            self.pair = pair

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._pairs: Pairs = ()
        self._selected: Pair | None = None
        self._width = 0

    def show(self, pairs: Pairs, selected: Pair | None) -> None:
        """Shows the pairs' blocked time; marks the selected one."""
        self._pairs, self._selected = pairs, selected
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def fit(self, most: int) -> None:
        """Takes as much width as its content needs, at most so many characters: the list needs the rest."""
        room = most - _SIDES
        shown = heat_map(self._pairs, most_tests(room, self.app.size.height, self._pairs))
        width = min(most, whole_width(shown) + _SIDES)
        if self._width != width:
            self._width = width
            self.styles.width = width

    def draw(self) -> None:
        """Draws the map for the present room."""
        room = self.content_size
        if not self._pairs or not room.width:
            return
        shown = heat_map(self._pairs, most_tests(room.width, room.height, self._pairs))
        place = None if self._selected is None else place_of(shown, self._selected)
        parts: list[Toned] = []
        for line in heat_lines(shown, room.width, place):
            parts += [Toned("\n")] if parts else []
            parts += line
        self.say(tuple(parts))

    def on_click(self, event: events.Click) -> None:
        offset, room = event.get_content_offset(self), self.content_size
        if offset is None:
            return
        shown = heat_map(self._pairs, most_tests(room.width, room.height, self._pairs))
        place = place_at(shown, offset.x, offset.y, room.width)
        pair = next(
            (pair for pair, _ in self._pairs if place is not None and place_of(shown, pair) == place), None
        )
        if pair is not None:
            self.post_message(self.Clicked(pair))
