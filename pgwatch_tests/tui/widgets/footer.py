"""Footer: the keys that do something now, as many as fit, drawn anew only when others do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import ActiveBinding, Binding, BindingsMap
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

_ALL_COMMANDS, _ALL = "All commands", "All"
_NARROW = 70
"""Below so many columns it is called so, and keys that act come before the filter."""
_LAST_TO_ACT = "terminate"
_FIRST = 2
"""So many keys of the app come before those of the open tab: to quit, and for help."""


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key in the footer: how it is written, and what it does."""

    binding: Binding
    display: str
    words: str
    tooltip: str

    @property
    def cells(self) -> int:
        """The cells that it takes, with the space behind it."""
        return cell_len(self.display) + 1 + cell_len(self.words) + 1


class KeyFooter(Widget):
    """Shows keys that fit in one line, the most useful first, and last the one that opens all commands.

    Textual's own footer has a widget for each key, and makes all of them anew when the focus moves: that
    takes longer than to draw a table. A click does what the key does.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-footer--key", "key-footer--words", "key-footer--hovered"}
    DEFAULT_CSS = """
    KeyFooter {
        dock: bottom;
        height: 1;
        background: $footer-background;
        & > .key-footer--key { color: $foreground; text-style: bold; }
        & > .key-footer--words { color: $footer-description-foreground; }
        & > .key-footer--hovered { color: $foreground; background: $block-hover-background; }
    }
    """
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self.shown: tuple[ShownKey, ...] = ()
        """The keys that are drawn."""
        self._hovered: ShownKey | None = None

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._look_again)

    def _look_again(self, screen: Screen[object]) -> None:
        # While the terminal hasn't the focus, nothing here has it: then no key of a tab would be shown.
        if screen.app.app_focus:
            self.call_after_refresh(self._fit)

    def on_resize(self) -> None:
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        shown = self._fitting() if self.is_attached else self.shown
        if shown != self.shown:
            self.shown, self._hovered = shown, None
            self.refresh()

    def _fitting(self) -> tuple[ShownKey, ...]:
        active = self.screen.active_bindings
        last = active.get(self.app.COMMAND_PALETTE_BINDING)
        words = _ALL if self.size.width < _NARROW else _ALL_COMMANDS
        ending = (self._key(last, words),) if last is not None and last.enabled else ()
        room = self.size.width - sum(one.cells for one in ending)
        found: list[ShownKey] = []
        for one in self._ranked(active):
            key = self._key(one, one.binding.description)
            if key.cells > room:
                break
            room -= key.cells
            found.append(key)
        return (*found, *ending)

    def _ranked(self, active: dict[str, ActiveBinding]) -> list[ActiveBinding]:
        """The keys by their use: the app has them in that order, and those of the open tab near the front."""
        ids = [one.id for _, one in BindingsMap(self.app.BINDINGS)]
        shown: dict[str, ActiveBinding] = {}
        for one in active.values():
            if one.binding.show and one.enabled:
                shown.setdefault(one.binding.action.removeprefix("app."), one)

        is_narrow = self.size.width < _NARROW

        def rank(one: ActiveBinding) -> float:
            if is_narrow and one.binding.id == "filter":
                return ids.index(_LAST_TO_ACT) + 0.5 if _LAST_TO_ACT in ids else len(ids)
            return ids.index(one.binding.id) if one.binding.id in ids else _FIRST - 0.5

        return sorted(shown.values(), key=rank)

    def _key(self, active: ActiveBinding, words: str) -> ShownKey:
        return ShownKey(active.binding, self.app.get_key_display(active.binding), words, active.tooltip)

    def render_line(self, y: int) -> Strip:
        """Draws the keys."""
        bold, words, hovered = (
            self.get_component_rich_style(f"key-footer--{name}") for name in ("key", "words", "hovered")
        )
        segments = []
        for one in self.shown:
            is_hovered = one is self._hovered
            segments.append(Segment(one.display, bold + hovered if is_hovered else bold))
            segments.append(Segment(f" {one.words}", hovered if is_hovered else words))
            segments.append(Segment(" ", words))
        return Strip(segments).adjust_cell_length(self.size.width, words)

    # The mouse.

    def _key_at(self, x: int) -> ShownKey | None:
        end = 0
        for one in self.shown:
            end += one.cells
            if x < end:
                return one if x < end - 1 else None
        return None

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Does what the key under the mouse does."""
        if found := self._key_at(event.x):
            self.app.simulate_key(found.binding.key)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._hover(self._key_at(event.x))

    def on_leave(self) -> None:
        self._hover(None)

    def _hover(self, key: ShownKey | None) -> None:
        if key is not self._hovered:
            self._hovered = key
            self.tooltip = None if key is None else key.tooltip or None
            self.refresh()
