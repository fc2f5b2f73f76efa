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
        self.pieces: list[str] = []
        """The first ones, cut."""
        self._attachments: dict[str, None] = {}
        self._held = ""
        """The end of what came, in which a line that attaches a file may have begun."""

    def take(self, data: str) -> None:
        """Adds the next piece."""
        pieces = self.pieces  # this runs for each test that prints
        if len(pieces) < _MOST_PIECES:
            pieces.append(data[: self._longest])
        if self._held or "[" in data:
            self.take_attachments(data)

    def take_attachments(self, data: str) -> None:
        """Adds only what of the next piece attaches files."""
        text = self._held + data
        if _BEGIN in text and len(self._attachments) < _MOST_ATTACHMENTS:
            self._attachments |= dict.fromkeys(_ATTACHMENT.findall(text))
        begun = text.rfind("[", max(0, len(text) - _LONGEST_LINE))
        if begun > 0 and text[begun - 1] == "[":
            begun -= 1
        self._held = "" if begun < 0 or "]]" in text[begun:] else text[begun:]

    def text(self, longest: int) -> str:
        """At most so many characters of it, and the lines that attach files, which come after them."""
        whole = "".join(self.pieces).strip()
        kept = whole[:longest]
        if len(whole) > longest:
            # A line that was cut attaches nothing.
            begin, found, rest = kept.rpartition(_BEGIN)
            kept = begin if found and "]]" not in rest else kept
        missing = [one for one in list(self._attachments)[:_MOST_ATTACHMENTS] if one not in kept]
        return "\n".join(filter(None, (kept.rstrip("\n") if missing else kept, *missing)))

    def clear(self) -> None:
        """Forgets all of it: a new test begins."""
        self.pieces.clear()
        self._attachments.clear()
        self._held = ""
