"""The page in a real browser: sorting, filtering, themes, a phone's width, keys; hostile text runs nothing.

One browser for all of it: its start takes longer than what is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgwatch_tests.reports.runs.page import document
from tests.chromium import Browser, browser, needs_chromium
from tests.reports.runs.made_report import hostile_report, report

_LESS_CONTRAST = """
(() => {
  const channel = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => [0.2126, 0.7152, 0.0722]
    .reduce((sum, share, place) => sum + share * channel(colour[place] / 255), 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const has = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!has || element.closest("script") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const text = parse(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
    const [a, b] = [light(text), light(ground(element))].sort((one, other) => other - one);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.push(`${element.tagName}.${element.className} ${contrast.toFixed(2)}`);
  }
  return found;
})()
"""
_COLUMN = """(caption, title) => {
  const tables = [...document.querySelectorAll("table")];
  const table = tables.find((one) => one.caption.textContent.includes(caption));
  const heading = [...table.tHead.rows[0].cells].find((one) => one.textContent.includes(title));
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
  return { table, heading, rows, texts: rows.map((row) => row.cells[heading.cellIndex].textContent.trim()),
           values: rows.map((row) => Number(row.cells[heading.cellIndex].dataset.sort)) };
}"""


@pytest.fixture
def tab(python: str, tmp_path: Path) -> Iterator[Browser]:
    assert python  # a process is started
    with browser(tmp_path) as opened:
        yield opened


@needs_chromium
def test_the_page_in_a_browser(tab: Browser, tmp_path: Path) -> None:
    page, hostile = tmp_path / "report.html", tmp_path / "hostile.html"
    page.write_text(document.document(report()), encoding="utf-8")
    hostile.write_text(document.document(hostile_report()), encoding="utf-8")

    tab.size(1280)
    tab.prefer("light")
    tab.open(page)
    assert_sorts(tab)
    assert_filters(tab)
    assert_tells_waits(tab)
    assert_has_two_themes(tab)
    assert_fits_on_a_phone(tab)
    assert_asked_for_nothing(tab, page)

    tab.open(hostile)
    tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert tab.evaluate("window.ran === undefined && document.images.length === 0") is True
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth") is True
    assert tab.evaluate("document.querySelectorAll('script').length") == 1
    assert_asked_for_nothing(tab, hostile)

    # Without scripts it is whole: all rows, and no tools that would do nothing.
    tab.scripts(allowed=False)
    tab.open(page)
    tab.scripts(allowed=True)
    assert tab.evaluate("document.querySelectorAll('tbody tr').length > 60") is True
    assert tab.evaluate(
        "[...document.querySelectorAll('[data-script]')].every((one) => !one.checkVisibility())"
    )
    assert tab.evaluate("document.querySelectorAll('th button').length") == 0


def assert_sorts(tab: Browser) -> None:
    """By numbers where there are some, the largest first, and the other way round; by text else."""
    column = f"({_COLUMN})('Longest waits', 'Waited')"
    by_number = tab.evaluate(f"{column}.values")
    assert isinstance(by_number, list)
    assert by_number == sorted(by_number, reverse=True, key=_number)
    assert tab.evaluate(f"{column}.heading.ariaSort") == "descending"
    tab.evaluate(f"{column}.heading.querySelector('button').click()")
    assert tab.evaluate(f"{column}.values") == sorted(by_number, key=_number)
    assert tab.evaluate(f"{column}.heading.ariaSort") == "ascending"
    tab.evaluate(f"{column}.heading.querySelector('button').click()")
    assert tab.evaluate(f"{column}.values") == by_number
    # By keyboard.
    column = f"({_COLUMN})('Longest waits', 'Waiting test')"
    tab.evaluate(f"{column}.heading.querySelector('button').focus()")
    tab.press("\r", 13)
    texts = tab.evaluate(f"{column}.texts")
    assert isinstance(texts, list)
    assert texts == sorted(texts, key=str)
    assert tab.evaluate("document.querySelectorAll('th[aria-sort=ascending]').length") == 1


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def assert_filters(tab: Browser) -> None:
    """Rows with all words stay, in every table, and the time line shows their waits alone."""
    tab.press("/")
    assert tab.evaluate("document.activeElement.id") == "filter"
    for letter in "waits_03 same":
        tab.press(letter)
    rows = tab.evaluate(f"({_COLUMN})('Longest waits', 'Waiting test').rows.map((row) => row.textContent)")
    assert isinstance(rows, list)
    assert rows
    assert all("test_waits_03" in str(row) and "same" in str(row) for row in rows)
    bars = tab.evaluate(
        "[...document.querySelectorAll('.bars a')].filter((one) => one.checkVisibility()).length"
    )
    assert bars == len(rows)
    assert tab.evaluate("[...document.querySelectorAll('.lane')].filter((one) => !one.hidden).length") == 1
    counts = f"({_COLUMN})('Longest waits', 'Waiting test').table.querySelector('[data-count]').textContent"
    assert tab.evaluate(counts) == f"{len(rows)} of 60 rows fit"
    tab.press("Escape", 27)
    assert tab.evaluate(f"({_COLUMN})('Longest waits', 'Waiting test').rows.length") == 60


def assert_tells_waits(tab: Browser) -> None:
    """By the arrow keys and by a click on a bar: who waited for what, with a link to its row."""
    tab.evaluate("document.querySelector('.scroll').focus()")
    tab.press("ArrowRight", 39)
    first = tab.evaluate("document.querySelector('#told p').textContent")
    assert "test_waits_" in str(first)
    assert " behind " in str(first)
    tab.press("ArrowRight", 39)
    assert tab.evaluate("document.querySelector('#told p').textContent") != first
    tab.press("ArrowLeft", 37)
    assert tab.evaluate("document.querySelector('#told p').textContent") == first
    tab.evaluate(
        "document.querySelectorAll('.bars a')[7].dispatchEvent(new MouseEvent('click', {cancelable: true}))"
    )
    assert (
        tab.evaluate(
            "document.querySelector('#told a').hash === document.querySelectorAll('.bars a.chosen')[0].hash"
            " || document.querySelector('#told a').hash.startsWith('#s1-w')"
        )
        is True
    )
    assert (
        tab.evaluate("document.getElementById(document.querySelector('#told a').hash.slice(1)).tagName")
        == "TR"
    )
    tab.press("Escape", 27)
    assert tab.evaluate("document.querySelector('#told').hidden") is True
    wide = "document.querySelector('.plot').clientWidth"
    before = tab.evaluate(wide)
    tab.evaluate("document.querySelector('[data-zoom=\"4\"]').click()")
    assert abs(_number(tab.evaluate(wide)) / _number(before) - 4) < 0.05
    tab.evaluate("document.querySelector('[data-zoom=\"1\"]').click()")


def assert_has_two_themes(tab: Browser) -> None:
    """The system's, and the one that is chosen; each can be read."""
    ground = "getComputedStyle(document.body).backgroundColor"
    chosen = (
        "(theme) => { const one = document.querySelector('#theme'); one.value = theme;"
        " one.dispatchEvent(new Event('change')) }"
    )
    light = tab.evaluate(ground)
    assert tab.evaluate(_LESS_CONTRAST) == []
    tab.prefer("dark")
    dark = tab.evaluate(ground)
    assert dark != light
    assert tab.evaluate(_LESS_CONTRAST) == []
    tab.evaluate(f"({chosen})('light')")
    assert tab.evaluate(ground) == light
    tab.prefer("light")
    tab.evaluate(f"({chosen})('dark')")
    assert tab.evaluate(ground) == dark
    tab.evaluate(f"({chosen})('system')")
    assert tab.evaluate(ground) == light


def assert_fits_on_a_phone(tab: Browser) -> None:
    """Nothing is wider than a screen of 360 pixels, but the time line once it is drawn wider."""
    tab.size(360, 740, phone=True)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    wider = (
        "[...document.querySelectorAll('td, th, p, pre, li, .who')].filter((one) => one.checkVisibility() && "
        "one.getBoundingClientRect().right > 361).map((one) => one.outerHTML.slice(0, 200))"
    )
    assert tab.evaluate(wider) == []
    # A row is a card there, whose cells say what they are.
    cell = "getComputedStyle(document.querySelector('tbody td'), '::before').content"
    assert tab.evaluate(cell) not in ("none", "normal", '""')
    assert tab.evaluate("getComputedStyle(document.querySelector('tbody td')).fontSize") == "15px"


def assert_asked_for_nothing(tab: Browser, page: Path) -> None:
    """The page asked for no other address, and tried nothing that its policy refuses."""
    asked = [str(of["request"]["url"]) for name, of in tab.events if name == "Network.requestWillBeSent"]  # type: ignore[index,call-overload]
    assert set(asked) <= {page.as_uri()}
    told = [of for name, of in tab.events if name in ("Log.entryAdded", "Runtime.exceptionThrown")]
    assert told == []
