"""The pictures and README show what the program prints today."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from screenshots import pictures, query_list, readme
from screenshots.recording import load
from screenshots.zone import local_zone

HOW = "stale: run `python -m screenshots`"


@pytest.fixture
def _elsewhere() -> Iterator[None]:
    # The zone of the machine that draws: a picture has that of its recording.
    with local_zone("Asia/Kolkata"):
        yield


@pytest.mark.usefixtures("_elsewhere")
def test_the_pictures_are_fresh() -> None:
    drawn = pictures.draw(load(pictures.RECORDING))
    for name, picture in drawn.items():
        assert pictures.same(picture, (pictures.FOLDER / name).read_text(encoding="utf-8")), f"{name} {HOW}"
    assert {path.name for path in pictures.FOLDER.glob("*.svg")} == set(drawn)


def test_the_pictures_show_what_matters() -> None:
    text = "\n".join(pictures.text_of((pictures.FOLDER / "locks.svg").read_text(encoding="utf-8")))
    assert "blocked" in text
    assert "row of" in text


@pytest.mark.usefixtures("_elsewhere")
def test_readme_is_fresh() -> None:
    text = readme.PATH.read_text(encoding="utf-8")
    recording, large = load(pictures.RECORDING), load(pictures.LARGE_SWEEP)
    assert readme.filled(text, recording, large) == text, f"README.md {HOW}"
    assert "<!-- output: locks -->" in text
    assert "<!-- output: leaks -->" in text


def test_the_list_of_queries_is_fresh() -> None:
    assert query_list.PATH.read_text(encoding="utf-8") == query_list.text(), f"queries/README.md {HOW}"


def test_the_list_of_queries_has_those_of_all_folders(tmp_path: Path) -> None:
    (tmp_path / "locks" / "held").mkdir(parents=True)
    for name, first in (("b", "-- Who?"), ("a", "-- A | B?"), ("locks/held/c", "-- Which?")):
        (tmp_path / f"{name}.sql").write_text(f"{first}\nSELECT 1;\n", encoding="utf-8")
    rows = [line for line in query_list.text(tmp_path).splitlines() if line.startswith(("| [", "## "))]

    assert rows == [
        "| [a](a.sql) | A \\| B? |",
        "| [b](b.sql) | Who? |",
        "## locks/held/",
        "| [c](locks/held/c.sql) | Which? |",
    ]
    (tmp_path / "d.sql").write_text("SELECT 1;\n", encoding="utf-8")
    with pytest.raises(ValueError, match="begin with a comment"):
        query_list.text(tmp_path)


def test_the_report_of_a_large_sweep_fits_on_a_screen() -> None:
    _, begin, rest = readme.PATH.read_text(encoding="utf-8").partition("<!-- output: large-sweep -->\n```\n")
    lines = rest.partition("```\n<!-- end -->")[0].splitlines()

    assert begin
    assert 10 < len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert any("stay because" in line for line in lines)


def test_a_picture_of_another_textual_is_compared_by_its_text() -> None:
    line = '<text class="a" x="0" y="20" textLength="9">a&#160;b</text>'
    one, other = f"<!-- textual 1.0 -->\n{line}", f"<!-- textual 2.0 -->\n{line.replace('class', 'id')}"
    assert pictures.same(one, other)
    assert not pictures.same(one, other.replace("b</text>", "c</text>"))
    assert not pictures.same(one, other.replace("2.0", "1.0"))
