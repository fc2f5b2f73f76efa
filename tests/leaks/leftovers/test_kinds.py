"""The kinds of leftovers: what makes one is in one place, and a statement."""

from __future__ import annotations

from pgwatch_tests.leaks.gate import ALL_KINDS, SINCE_KINDS
from pgwatch_tests.leaks.model import LEFTOVER_NOUNS
from pgwatch_tests.postgres import queries


def test_each_kind_has_nouns_and_a_statement() -> None:
    assert tuple(LEFTOVER_NOUNS) == ALL_KINDS
    stated = {name.removeprefix("leftovers/") for name in queries.names() if name.startswith("leftovers/")}
    assert stated == set(ALL_KINDS) - set(SINCE_KINDS)
