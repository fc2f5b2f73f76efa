"""The tables of docs/races.md are those of the tests: the gallery's bugs, Hermitage's anomalies."""

from __future__ import annotations

import re
from typing import get_args

from pgwatch_tests.testing.interleaving.explorer import Isolation
from tests.docs.test_examples import DOCS
from tests.testing.interleaving.gallery import BUGS
from tests.testing.interleaving.test_hermitage import ANOMALIES


def rows(section: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    _, _, text = (DOCS / "races.md").read_text().partition(f"\n## {section}")
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]


def test_each_bug_of_the_gallery_is_told() -> None:
    assert [name for name, *_ in rows("The gallery")] == list(BUGS)


def test_each_anomaly_is_told_with_the_levels_at_which_it_is_found() -> None:
    told = {name.partition(",")[0]: found for name, *found in rows("Hermitage")}
    assert told == {
        name: ["found" if level in anomaly.allowed else "clean" for level in get_args(Isolation)]
        for name, anomaly in ANOMALIES.items()
    }
