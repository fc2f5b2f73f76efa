"""What a test has printed, as far as a report keeps it: its beginning, and lines that attach files. Pure."""

from __future__ import annotations

import re

# GitLab and Jenkins read such lines (`[[ATTACHMENT|test-results/a.png]]`); Playwright writes them at the end.
_ATTACHMENT = re.compile(r"\[\[ATTACHMENT\|[^\]\r\n]{1,1000}\]\]")
_BEGIN = "[[ATTACHMENT|"
_LONGEST_LINE = len(_BEGIN) + 1_002
_MOST_ATTACHMENTS = 20
_MOST_PIECES = 4
"""Pieces, of 64 KiB each as a rule, whose beginnings are kept."""


class Output:
    """The output of one test, which comes in pieces of any size."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._pieces: list[str] = []
        self._attachments: dict[str, None] = {}
        self._held = ""
        """The end of what came, in which a line that attaches a file may have begun."""
        self.is_there = False
        """Whether anything came."""

    def take(self, data: str) -> None:
        """Adds the next piece."""
        if len(self._pieces) < _MOST_PIECES:
            self._pieces.append(data[: self._longest])
        self.take_attachments(data)

    def take_attachments(self, data: str) -> None:
        """Adds only what of the next piece attaches files."""
        self.is_there = True
        text = self._held + data if self._held else data
        if _BEGIN in text and len(self._attachments) < _MOST_ATTACHMENTS:
            self._attachments |= dict.fromkeys(_ATTACHMENT.findall(text))
        begun = text.rfind("[[", -_LONGEST_LINE)
        self._held = "" if begun < 0 or "]]" in text[begun:] else text[begun:]
        if not self._held and text.endswith("["):
            self._held = "["

    def end(self) -> None:
        """Ends an element: what comes next is another one's."""
        self._held = ""

    def text(self, longest: int) -> str:
        """At most so many characters of it, and the lines that attach files, which come after them."""
        whole = "".join(self._pieces).strip()
        kept = whole[:longest]
        if len(whole) > longest:
            # A line that was cut attaches nothing.
            begin, found, rest = kept.rpartition(_BEGIN)
            kept = begin if found and "]]" not in rest else kept
        missing = [one for one in list(self._attachments)[:_MOST_ATTACHMENTS] if one not in kept]
        return "\n".join(filter(None, (kept.rstrip("\n") if missing else kept, *missing)))

    def clear(self) -> None:
        """Forgets all of it: a new test begins."""
        self._pieces.clear()
        self._attachments.clear()
        self._held, self.is_there = "", False
