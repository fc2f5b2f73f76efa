"""Sections of a report before they have a format: a heading, columns, and rows of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

REASON = "Reason"
"""The column of sentences that say why."""


@dataclass(frozen=True, slots=True)
class Section:
    """A table of a report. Its cells are strings that the format in question can take as they are."""

    columns: tuple[str, ...]
    alignment: str
    """An `l` or `r` for each column."""
    rows: Sequence[Sequence[str]]
    heading: str = ""
    """Stands above a Markdown table, and in text in place of the first column's name."""


class LeftOut(Protocol):
    """A database of several that could be neither checked nor swept."""

    @property
    def database(self) -> str:
        """Its name."""

    @property
    def reason(self) -> str:
        """Why."""


def left_out(heading: str, databases: Iterable[LeftOut], shown: Callable[[str], str]) -> Section:
    """The databases that a report of several doesn't have, with the reasons; foreign text through `shown`."""
    return Section((heading, REASON), "ll", [(shown(one.database), shown(one.reason)) for one in databases])
