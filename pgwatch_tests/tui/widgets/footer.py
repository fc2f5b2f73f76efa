"""Footer: the keys that do something now, as many as fit, drawn anew only when others do."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingsMap
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

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


class StillFooter(Footer):
    """Leaves its keys as they are if they are the same.

    Each move of the focus makes Textual ask whether they changed, several times per change of a tab; to make
    a key's widget anew takes as long as to draw a table.
    """

    _shown: tuple[ShownKey, ...] | None = None

    def compose(self) -> ComposeResult:
        """Yields the keys that fit, the most useful first, and last the one that opens all commands."""
        if not self._bindings_ready:
            return
        shown = self._fitting()
        self.styles.grid_size_columns = max(1, len(shown))
        for one in shown:
            yield FooterKey(
                one.binding.key, one.display, one.words, one.binding.action, tooltip=one.tooltip
            ).data_bind(compact=Footer.compact)

    async def recompose(self) -> None:
        """Makes the widgets of the keys anew, if the keys have changed."""
        shown = self._fitting()
        if shown != self._shown or not self.children:
            await super().recompose()
            self._shown = shown

    def on_resize(self) -> None:
        self.call_after_refresh(self.recompose)

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
