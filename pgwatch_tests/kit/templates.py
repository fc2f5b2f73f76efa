"""Templates of the kit: files of package data in which `@@NAME@@` stands for what a repository has."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_DIRECTORY = Path(__file__).parent / "templates"
_PLACE = re.compile(r"@@([A-Z_]+)@@")


@cache
def load(name: str) -> str:
    """Returns the text of a template."""
    return (_DIRECTORY / name).read_text(encoding="utf-8")


def render(name: str, **values: str) -> str:
    """Returns a template with its places filled; a line that has nothing but empty places goes.

    Raises KeyError for a place that has no value.
    """
    lines = []
    for line in load(name).splitlines(keepends=True):
        filled = _PLACE.sub(lambda match: values[match[1].lower()], line)
        if filled.strip() or not _PLACE.search(line):
            lines.append(filled)
    return "".join(lines)
