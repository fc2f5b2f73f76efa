"""Footer: the keys that do something now, drawn anew only when others do."""

from __future__ import annotations

from textual.widgets import Footer


class StillFooter(Footer):
    """Leaves its keys as they are if they are the same.

    Each move of the focus makes Textual ask whether they changed, several times per change of a tab; to make
    a key's widget anew takes as long as to draw a table.
    """

    _shown: tuple[object, ...] | None = None

    async def recompose(self) -> None:
        """Makes the widgets of the keys anew, if the keys have changed."""
        offered = tuple(
            (one.binding, one.enabled, one.tooltip)
            for one in self.screen.active_bindings.values()
            if one.binding.show
        )
        if offered != self._shown or not self.children:
            await super().recompose()
            self._shown = offered
