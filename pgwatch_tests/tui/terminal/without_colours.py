"""A line filter for NO_COLOR: what stands out by its ground is reversed, what is faint dim, nothing coloured.

Textual's own turns colours into greys, which are colours, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color, ColorParseError
from textual.filter import LineFilter

from pgwatch_tests.tui.widgets.themes import contrast, tone_styles

_STANDS_OUT = 1.6
"""From this contrast with the theme's ground on, a ground means something: a cursor, a warning."""
_FAINT = 2.0
"""Up to this contrast with its ground, a text isn't meant to be read at once: the track of a bar."""
_STYLES = 4096
_GROUNDS = ("background", "panel")


class WithoutColours(LineFilter):
    """Leaves attributes only."""

    def __init__(self) -> None:
        super().__init__()
        self._theme = ""
        self._plain: Callable[[Style], Style] = lambda style: style.without_color

    def use_theme(self, name: str, variables: Callable[[], Mapping[str, str]]) -> None:
        """Takes the grounds of a theme, unless it has: `variables` returns those of its CSS."""
        if name == self._theme:
            return
        self._theme, colours = name, variables()
        try:
            ground = Color.parse(colours["background"])
        except ColorParseError:
            ground = Color(0, 0, 0)
        quiet = {tone_styles(colours, one)["quiet"].color for one in _GROUNDS}
        self._plain = lru_cache(_STYLES)(partial(_without_colours, ground=ground, quiet=quiet))

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments, in the styles that are left."""
        return [Segment(text, style and self._plain(style), control) for text, style, control in segments]


def _without_colours(style: Style, *, ground: Color, quiet: set[RichColor | None]) -> Style:
    below = _colour(style.bgcolor) or ground
    above = _colour(style.color)
    stands_out = contrast(below, ground) >= _STANDS_OUT
    is_quiet = style.color in quiet - {None} and not stands_out
    is_faint = above is not None and contrast(above, below) <= _FAINT
    attributes = Style(
        reverse=True if stands_out != bool(style.reverse) else None,
        dim=True if style.dim or is_quiet or is_faint else None,
    )
    kept = Style.from_meta(style.meta) if style.meta else Style()
    unturned = style.without_color + Style(reverse=False) if style.reverse else style.without_color
    return unturned + attributes + kept


def _colour(colour: RichColor | None) -> Color | None:
    """None for one of the terminal's own, which aren't known."""
    return None if colour is None or colour.triplet is None else Color.from_rich_color(colour)
