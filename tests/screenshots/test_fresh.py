"""README and the list of queries show what there is today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pgwatch_tests.locks.diagnosis import rules
from screenshots import lint_rules, query_list, races, readme, reference, report_page, shown_reports
from screenshots.recording import LARGE_SWEEP, RECORDING, load
from screenshots.reference import diagnoses

HOW = "stale: run `python -m screenshots`"


@pytest.mark.usefixtures("_elsewhere")
def test_readme_is_fresh() -> None:
    recording, large, found = load(RECORDING), load(LARGE_SWEEP), races.load()
    for page in readme.PAGES:
        text = page.read_text(encoding="utf-8")
        assert readme.filled(text, recording, large, found) == text, f"{page.name} {HOW}"
        assert "<!-- output: " in text
    text = readme.PATH.read_text(encoding="utf-8")
    assert re.findall(r"<!-- output: (.+) -->", text) == ["locks", "leaks", "sweep"]


def test_readme_is_read_in_minutes() -> None:
    assert len(readme.PATH.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_pictures_of_a_report_are_of_what_it_is_today() -> None:
    html = report_page.page()
    for name in report_page.PICTURES:
        assert report_page.is_fresh(name, html), f"{name} {HOW}"


def test_the_list_of_queries_is_fresh() -> None:
    assert query_list.PATH.read_text(encoding="utf-8") == query_list.text(), f"queries/README.md {HOW}"


def test_the_reference_of_the_lint_rules_is_fresh() -> None:
    text = lint_rules.PATH.read_text(encoding="utf-8")
    assert lint_rules.filled(text) == text, f"docs/lint.md {HOW}"
    assert lint_rules.filled(text.replace("### sleep", "### nap")) == text


@pytest.mark.usefixtures("_elsewhere")
def test_the_reference_is_fresh() -> None:
    pages = list(reference.pages())
    assert len(pages) == 7
    for path, text in pages:
        assert path.read_text(encoding="utf-8") == text, f"{path.name} {HOW}"


@pytest.mark.usefixtures("_elsewhere")
def test_reports_that_pages_show_are_fresh() -> None:
    for path, text in shown_reports.pages():
        assert "<!-- output: " in text
        assert path.read_text(encoding="utf-8") == text, f"{path.name} {HOW}"


def test_each_cause_of_a_block_has_an_example() -> None:
    folder = Path(rules.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*rules.py"))
    source += (folder / "turns.py").read_text(encoding="utf-8")
    named = r"""Diagnosis\(\s*"(\w+)"|^ +"(\w+)"$|^ +else "(\w+)",?$|^ +"(\w+)",$"""
    causes = {cause for found in re.findall(named, source, re.MULTILINE) for cause in found if cause}
    assert {example.cause for example in diagnoses.load()} == causes


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
    _, begin, rest = (
        (readme.DOCS / "sweeps.md")
        .read_text(encoding="utf-8")
        .partition("<!-- output: large-sweep -->\n```\n")
    )
    lines = rest.partition("```\n<!-- end -->")[0].splitlines()

    assert begin
    assert 10 < len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert any("stay because" in line for line in lines)
