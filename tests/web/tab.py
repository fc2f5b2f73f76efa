"""A browser's tab with a dashboard in it: the text of its terminal, and of the notice above."""

from __future__ import annotations

from collections.abc import Callable

from tests.chromium import Browser
from tests.waiting import wait_until

# textual.js keeps its terminal to itself; its last addon is set beside it.
_KEEP_TERMINAL = """
Object.defineProperty(Object.prototype, "weblinksAddon", {
  configurable: true,
  set(addon) {
    window.terminalOfTest = this.terminal;
    Object.defineProperty(this, "weblinksAddon", { value: addon });
  },
});
"""
_SCREEN = """(() => {
  const terminal = window.terminalOfTest;
  if (!terminal) return "";
  const rows = Array.from({ length: terminal.rows }, (_, row) => terminal.buffer.active.getLine(row));
  return rows.map((row) => row?.translateToString(true) ?? "").join("\\n");
})()"""
_NOTICE = """(() => {
  const notice = document.getElementById("notice");
  return !notice || notice.hidden ? "" : notice.innerText.trim();
})()"""


class Tab:
    """One tab of a browser."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        browser.before_pages(_KEEP_TERMINAL)

    def open(self, link: str) -> None:
        """Opens a link."""
        self.browser.visit(link)

    def turn(self, width: int, height: int) -> None:
        """Turns a phone, whose page loads anew then."""
        self.browser.events.clear()
        self.browser.size(width, height, phone=True)
        self.browser.until("Page.loadEventFired")

    @property
    def screen(self) -> str:
        """All that its terminal shows."""
        return str(self.browser.evaluate(_SCREEN))

    @property
    def notice(self) -> str:
        """What the page itself says; empty if it says nothing."""
        return str(self.browser.evaluate(_NOTICE))

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of its terminal."""
        rows = self.screen.split("\n")
        columns = self.browser.evaluate("window.terminalOfTest?.cols ?? 0")
        assert isinstance(columns, int)
        return columns, len(rows)

    def shows(self, *words: str) -> str:
        """The screen, once it shows all of `words`, and the page has nothing to say."""
        return self.until(lambda screen: all(word in screen for word in words) and not self.notice, words)

    def until(self, condition: Callable[[str], bool], what: object = "") -> str:
        """The screen, once `condition` is true of it."""

        def look() -> str:
            screen = self.screen
            return screen if condition(screen) else ""

        try:
            return wait_until(look, message=f"{what}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.notice}\n{self.screen}") from None

    def says(self, words: str) -> None:
        """Returns once the page says so."""
        try:
            wait_until(lambda: words in self.notice, message=f"{words!r} in the page's notice")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.notice}\n{self.screen}") from None
