"""Themes of our own, a dark and a light one, and the styles of tones in any theme, readable by WCAG 2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.style import Style
from rich.text import Text
from textual.color import Color, ColorParseError
from textual.theme import Theme

from pgwatch_tests.text.toned_text import Tone, Toned

DARK, LIGHT = "pgwatch-dark", "pgwatch-light"

THEMES = (
    Theme(
        DARK,
        primary="#7aa2f7",
        secondary="#56b6c2",
        warning="#e5b567",
        error="#ff7b72",
        success="#7fd88f",
        accent="#d2a8ff",
        foreground="#d7dce5",
        background="#11151c",
        surface="#171c25",
        panel="#1f2633",
        dark=True,
        variables={"block-cursor-background": "#2d4a7c", "block-cursor-foreground": "#ffffff"},
    ),
    Theme(
        LIGHT,
        primary="#1f5fbf",
        secondary="#0b6e7f",
        warning="#8a5700",
        error="#b3261e",
        success="#1a6b34",
        accent="#6f3fb5",
        foreground="#1f2733",
        background="#fbfbf9",
        surface="#f3f3ef",
        panel="#e7e8e4",
        dark=False,
        variables={"block-cursor-background": "#1f4f99", "block-cursor-foreground": "#ffffff"},
    ),
)

CONTRAST = 4.5
"""The least contrast of text on its ground: WCAG 2.2, success criterion 1.4.3."""

_STEPS = 20
_WHITE, _BLACK = Color(255, 255, 255), Color(0, 0, 0)
_QUIET = 0.35
"""How much of the ground is in quiet text, where that can be read."""
_VARIABLES: dict[Tone, str] = {
    "quiet": "foreground",
    "lit": "accent",
    "good": "success",
    "notice": "secondary",
    "warning": "warning",
    "trouble": "error",
    "root": "error",
    "keyword": "primary",
    "literal": "secondary",
}
_BOLD: tuple[Tone, ...] = ("root", "lit")


def tone_styles(variables: Mapping[str, str], ground: str = "background") -> dict[Tone, Style]:
    """The style of each tone on the ground `$background`, or another, from a theme's CSS variables.

    A colour that can't be read there is moved towards the theme's text. In a theme of the terminal's own
    colours, which aren't known, a tone is bold or dim at most.
    """
    styles: dict[Tone, Style] = {"": Style()}
    for tone in _VARIABLES:
        styles[tone] = _style(variables, tone, ground)
    return styles


def styled_text(
    parts: Iterable[Toned], styles: Mapping[Tone, Style], tone: Tone = "", *, right: bool = False
) -> Text:
    """The parts in their styles, those without a tone in that of `tone`; `right`: for the right of a cell."""
    text = Text(justify="right" if right else "left")
    for part in parts:
        text.append(part.text, styles[part.tone or tone])
    return text


def _style(variables: Mapping[str, str], tone: Tone, ground_name: str) -> Style:
    bold = True if tone in _BOLD else None
    try:
        ground, text = Color.parse(variables[ground_name]), Color.parse(variables["foreground"])
        wanted = Color.parse(variables[_VARIABLES[tone]])
    except (KeyError, ColorParseError):
        return Style(bold=bold, dim=True if tone == "quiet" else None)
    if any(colour.ansi is not None for colour in (ground, text, wanted)):
        return Style(bold=bold, dim=True if tone == "quiet" else None)
    if tone == "quiet":
        wanted = text.blend(ground, _QUIET)
    return Style(color=readable(wanted, ground, text).rich_color, bold=bold)


def with_cursor(variables: Mapping[str, str]) -> dict[str, str]:
    """A theme's CSS variables with `$cursor` and `$cursor-text`: a selected row that can be read."""
    found = dict(variables)
    found["cursor"], found["cursor-text"] = found["block-cursor-background"], found["block-cursor-foreground"]
    try:
        ground = Color.parse(found["cursor"])
    except ColorParseError:
        return found
    if ground.ansi is None:
        found["cursor-text"] = _legible_on(ground).hex
    return found


def _legible_on(ground: Color) -> Color:
    return max(_WHITE, _BLACK, key=lambda one: contrast(one, ground))


def readable(wanted: Color, ground: Color, text: Color) -> Color:
    """`wanted`, moved towards `text` until it can be read on `ground`; white or black if it never can."""
    for step in range(_STEPS):
        colour = wanted.blend(text, step / _STEPS)
        if contrast(colour, ground) >= CONTRAST:
            return colour
    return _legible_on(ground)


def contrast(one: Color, other: Color) -> float:
    """The contrast ratio of two opaque colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    red, green, blue = (_linear(channel) for channel in colour.normalized)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
