"""Names that the recipes shorten fit into PostgreSQL's 63 bytes, and are read as those of tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pgwatch_tests.identity.application_name import parse

RECIPES = Path(__file__).parents[2] / "docs/recipes"
# What is before the hash, and how many characters of the end are kept.
_HEAD = re.compile(r'["\'](?P<runner>[a-z]+): #')
_KEPT = re.compile(r"\[\^(\d+)\.\.\]|\(\w+\)-(\d+):\]|, -(\d+)[).]|\[-(\d+)\.\.|length\(\) - (\d+)")


@pytest.mark.parametrize("name", ["dotnet", "elixir", "go", "jvm", "php", "rails"])
def test_a_shortened_name_fits(name: str) -> None:
    text = (RECIPES / f"{name}.md").read_text(encoding="utf-8")
    head, kept = _HEAD.search(text), _KEPT.search(text)
    assert head is not None
    assert kept is not None
    shortened = f"{head['runner']}: #1a2b3c4d ..{'x' * int(next(filter(None, kept.groups())))}"
    assert len(shortened.encode()) == 63
    found = parse(shortened)
    assert found is not None
    assert (found.runner, found.digest) == (head["runner"], "1a2b3c4d")
