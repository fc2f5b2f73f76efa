"""What is typed behind `/`: rows that have it in them are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pgwatch_tests.text.plain_text import plain


@dataclass(frozen=True, slots=True)
class RowFilter:
    """As it was typed; upper and lower case are the same. Empty, it fits every row."""

    typed: str = ""

    def __bool__(self) -> bool:
        return bool(self.typed)

    def fits(self, cells: Iterable[str]) -> bool:
        """Whether a row with these cells has it in it."""
        return self.typed.casefold() in " ".join(cells).casefold()

    def no_match(self, what: str) -> str:
        """What to say where no row fits: `No session matches 'Kyoto'. esc clears the filter.`"""
        return f"No {what} matches {plain(self.typed)!r}. esc clears the filter."
