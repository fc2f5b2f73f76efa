"""How well the text in a graph of the screen can be read."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

_TEXT = re.compile(
    r'<text class="(?P<style>[\w-]+)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)"[^>]*>(?P<text>[^<]*)</text>'
)
_RECT = re.compile(
    r'<rect fill="(?P<colour>#[0-9a-f]{6})" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)"'
    r' width="(?P<width>[\d.]+)" height="(?P<height>[\d.]+)"'
)
_STYLE = re.compile(r"\.(?P<style>[\w-]+) \{ fill: (?P<colour>#[0-9a-f]{6})")
CELL_WIDTH, CELL_HEIGHT = 12.2, 24.4
_ABOVE_BASELINE = 10.0
"""A text's `y` is where its letters stand; so far above that is their middle."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A piece of text with its colours, and their contrast by WCAG 2: 1 to 21."""

    text: str
    column: int
    line: int
    colour: str
    background: str
    contrast: float


def drawn(graph: str) -> list[Drawn]:
    """Every piece of text with letters or digits in a graph of `export_screenshot`."""
    colours = {one["style"]: one["colour"] for one in _STYLE.finditer(graph)}
    rects = [
        (float(one["x"]), float(one["y"]), float(one["width"]), float(one["height"]), one["colour"])
        for one in _RECT.finditer(graph)
    ]
    found = []
    for one in _TEXT.finditer(graph):
        text = html.unescape(one["text"]).replace("\xa0", " ")
        if one["style"] not in colours or not any(map(str.isalnum, text)):
            continue
        # Its first letter: spaces before it may be on another ground.
        x = float(one["x"]) + CELL_WIDTH * (len(text) - len(text.lstrip())) + 1
        y = float(one["y"]) - _ABOVE_BASELINE
        under = [
            colour
            for left, top, width, height, colour in rects
            if left <= x <= left + width and top <= y <= top + height
        ]
        assert under, f"nothing is under {text!r}"
        colour = colours[one["style"]]
        column, line = int(x / CELL_WIDTH), int(y / CELL_HEIGHT)
        found.append(Drawn(text.strip(), column, line, colour, under[-1], contrast(colour, under[-1])))
    return found


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (`#rrggbb`) by WCAG 2.2, "contrast ratio"."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
