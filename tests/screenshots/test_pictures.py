"""The pictures show what the dashboard draws today."""

from __future__ import annotations

import pytest

from screenshots import pictures, replay
from screenshots.recording import RECORDING, load

HOW = "stale: run `python -m screenshots`"


@pytest.mark.usefixtures("_elsewhere")
def test_the_pictures_are_fresh() -> None:
    drawn = pictures.draw(load(RECORDING)) | replay.draw()
    for name, picture in drawn.items():
        assert pictures.same(picture, (pictures.FOLDER / name).read_text(encoding="utf-8")), f"{name} {HOW}"
    assert {path.name for path in pictures.FOLDER.glob("*.svg")} == set(drawn)


def test_the_pictures_show_what_matters() -> None:
    text = "\n".join(pictures.text_of((pictures.FOLDER / "locks.svg").read_text(encoding="utf-8")))
    assert "blocked" in text
    assert "row of" in text


def test_a_picture_of_another_textual_is_compared_by_its_text() -> None:
    line = '<text class="a" x="0" y="20" textLength="9">a&#160;b</text>'
    one, other = f"<!-- textual 1.0 -->\n{line}", f"<!-- textual 2.0 -->\n{line.replace('class', 'id')}"
    assert pictures.same(one, other)
    assert not pictures.same(one, other.replace("b</text>", "c</text>"))
    assert not pictures.same(one, other.replace("2.0", "1.0"))
