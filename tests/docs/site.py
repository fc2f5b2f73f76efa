"""Reads a built site in a real browser: `python -m tests.docs.site site [PICTURES]`.

Each page, at the widths of a screen and of a phone: nothing sticks out to the right, no name in the
navigation is cut, nothing is asked of another machine, no script fails. The search answers, though the
pages come from a disk. With a second directory, a picture of each page goes there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from tests.chromium import Browser, browser

SCREEN, PHONE = (1280, 900), (390, 844)
# What sticks out of the page; what scrolls by itself (a wide table, code) has its own bar.
_STICKS_OUT = """
(() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return '';
  const scrolls = one => one && (getComputedStyle(one).overflowX !== 'visible' || scrolls(one.parentElement));
  const wide = [...document.querySelectorAll('article *')].filter(
    one => one.getBoundingClientRect().right > width + 1 && !scrolls(one.parentElement));
  return document.documentElement.scrollWidth + ' px: ' + (wide[0] ? wide[0].outerHTML.slice(0, 120) : '?');
})()
"""
# Names in the navigation that end in an ellipsis.
_CUT = """
[...document.querySelectorAll('.md-nav .md-ellipsis')]
  .filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0)
  .map(one => one.textContent.trim()).join(', ')
"""
# The search's dialog has its own tree; it opens when the button's script is there.
_FOUND = """
(async () => {
  const pause = () => new Promise(done => setTimeout(done, 20));
  const dialog = () => [...document.body.children].find(one => one.shadowRoot)?.shadowRoot;
  for (let tries = 0; tries < 500; tries++) {
    document.querySelector('.md-search__button').click();
    const input = dialog()?.querySelector('input');
    if (input && input.value !== WORDS) {
      input.value = WORDS;
      input.dispatchEvent(new Event('input', {bubbles: true}));
    }
    const found = dialog()?.querySelector('a[href]');
    if (found) return found.href;
    await pause();
  }
  return null;
})()
"""
_HEIGHT = "Math.min(document.documentElement.scrollHeight, 6000)"


def problems(site: Path, pictures: Path | None = None) -> Iterator[str]:
    """Yields what is wrong with the pages, a line each."""
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as tab:
        for page in sorted(site.rglob("*.html")):
            # Its links begin at the root of a server.
            if page.name == "404.html":
                continue
            name = page.relative_to(site).with_suffix("").as_posix()
            for size, theme in ((SCREEN, "light"), (PHONE, "dark")):
                tab.prefer(theme)
                tab.size(*size, phone=size == PHONE)
                tab.open(page.resolve())
                yield from (f"{name} at {size[0]}: {fault}" for fault in _faults(tab))
                if pictures is not None:
                    tab.size(size[0], int(cast(float, tab.evaluate(_HEIGHT))), phone=size == PHONE)
                    tab.picture(pictures / f"{name.replace('/', '-')}-{size[0]}.png")


def found_by_search(page: Path, words: str) -> str | None:
    """Returns the address of the first result of the search on a page, None if it finds nothing."""
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as tab:
        tab.size(*SCREEN)
        tab.open(page.resolve())
        return cast(str | None, tab.evaluate(_FOUND.replace("WORDS", json.dumps(words))))


def _faults(tab: Browser) -> Iterator[str]:
    if wide := tab.evaluate(_STICKS_OUT):
        yield f"sticks out, {wide}"
    if cut := tab.evaluate(_CUT):
        yield f"cuts {cut}"
    for event, details in tab.events:
        if event == "Network.requestWillBeSent":
            url = str(cast(dict[str, object], details["request"])["url"])
            if not url.startswith(("file:", "data:", "blob:")):
                yield f"asks for {url}"
        elif event == "Runtime.exceptionThrown":
            yield f"a script fails: {details}"[:300]


if __name__ == "__main__":
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    found = list(problems(Path(sys.argv[1]), target))
    place = found_by_search(Path(sys.argv[1]) / "recipes" / "go.html", "deadlock detected")
    if "/faq.html" not in (place or ""):
        found.append(f"the search for a deadlock leads to {place}")
    print("\n".join(found) or "every page fits, and asks nothing of another machine")
    sys.exit(bool(found))
