"""A test's id in two parts: its own name, and where it is. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_SCRIPTS = re.compile(r"^(?P<project>\[[^\]]*\] )?(?P<file>[^>]+?) > (?P<titles>.+)$")


class SplitTest(NamedTuple):
    """A test's own name, and its file and what encloses it: a project, classes, groups of tests."""

    name: str
    place: str


def split(test: str) -> SplitTest:
    """The parts of an id as its runner writes it.

    `tests/a.py::TestB::test_c[x]` is `test_c[x]` in `tests/a.py::TestB`; `a.test.ts > group > title` is
    `title` in `a.test.ts > group`; `..y::test_a`, which 63 bytes have cut, is `test_a` in `..y`.
    """
    before, separator, parameters = test.partition("[")
    if "::" in before:
        place, _, name = before.rpartition("::")
        return SplitTest(name + separator + parameters, place)
    scripts = _SCRIPTS.match(test)
    if scripts is not None:
        *groups, title = scripts["titles"].split(" > ")
        return SplitTest(title, " > ".join(((scripts["project"] or "") + scripts["file"], *groups)))
    return SplitTest(test, "")
