"""Tones can be read in every theme."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from pgwatch_tests.tui.widgets.themes import THEMES, contrast, tone_styles, with_cursor

ALL = {theme.name: theme for theme in (*THEMES, *BUILTIN_THEMES.values())}
COLOURED = [name for name, theme in ALL.items() if not theme.ansi]


@pytest.mark.parametrize("name", COLOURED)
@pytest.mark.parametrize("ground", ["background", "panel"])
def test_each_tone_has_a_contrast_of_4_5(name: str, ground: str) -> None:
    variables = ALL[name].to_color_system().generate()
    for tone, style in tone_styles(variables, ground).items():
        if style.color is not None and style.color.triplet is not None:
            colour = Color.from_rich_color(style.color)
            assert contrast(colour, Color.parse(variables[ground])) >= 4.5, (tone, colour)
        else:
            assert tone == ""


@pytest.mark.parametrize("name", COLOURED)
def test_the_selected_row_can_be_read(name: str) -> None:
    variables = with_cursor(ALL[name].to_color_system().generate())
    assert contrast(Color.parse(variables["cursor-text"]), Color.parse(variables["cursor"])) >= 4.5


@pytest.mark.parametrize("name", [name for name, theme in ALL.items() if theme.ansi])
def test_the_terminals_own_colours_are_left_alone(name: str) -> None:
    variables = ALL[name].to_color_system().generate()
    assert all(style.color is None for style in tone_styles(variables).values())
    assert tone_styles(variables)["root"].bold
