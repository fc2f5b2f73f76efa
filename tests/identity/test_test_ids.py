"""Ids of tests by runner, and their hashes: docs/test-ids.md says what holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.identity.application_name import digest
from pgwatch_tests.identity.junit_cases import JUnitCase, Runner, Suite
from pgwatch_tests.identity.known_tests import KnownTests, read_test_list
from pgwatch_tests.identity.test_ids import likely_id, namer, possible_ids

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "test-ids.md").read_text(encoding="utf-8")
PARENT = "[chrome] booking.spec.ts"
RUNNERS: dict[str, Runner] = {"pytest": "pytest", "Vitest": "vitest", "Playwright": "playwright"}
ROWS = re.findall(
    r"^\| (\w+) \| `([^`]*)` \| `([^`]*)` \|\s*([^|]*?)\s*\| `([^`]*)` \| `([0-9a-f]{8})` \|$",
    PAGE,
    re.MULTILINE,
)


@pytest.mark.parametrize(("runner", "classname", "name", "more", "test", "hashed"), ROWS)
def test_ids_are_as_the_page_says(
    runner: str, classname: str, name: str, more: str, test: str, hashed: str
) -> None:
    attributes = dict(re.findall(r'(\w+)="([^"]*)"', more))
    suite = Suite("suite", attributes.get("hostname", ""), "", RUNNERS.get(runner, ""))
    case = JUnitCase(name, classname, attributes.get("file", ""), suite)
    assert digest(test) == hashed
    assert test in possible_ids(case)
    # A session that bore the hash decides; without one, what is likeliest.
    assert namer([f"..end #{hashed}"])(case) == test
    assert runner in ("Jest", "unittest", "JUnit") or likely_id(case) == test


def test_all_runners_are_in_the_page() -> None:
    assert {row[0] for row in ROWS} == {"pytest", "Vitest", "Playwright", "Jest", "unittest", "JUnit"}


def test_lists_are_read_from_patterns_and_directories(tmp_path: Path) -> None:
    reports = Path(__file__).parents[1] / "junit" / "reports"
    for shard, name in enumerate(("vitest5-torn.xml", "hand-empty.xml", "playwright-booking.xml")):
        path = tmp_path / f"e2e-{shard}" / "junit.xml"
        path.parent.mkdir()
        path.write_bytes((reports / name).read_bytes())
    for given in (tmp_path, tmp_path / "*" / "junit.xml"):
        known = KnownTests(read_test_list(given))
        for test in (
            "zoo/zoo.test.ts > outer > each 1",
            "[chrome] booking.spec.ts > sign up > parent 1 signs up",
        ):
            assert list(known.with_digest(digest(test))) == [test]
    for nothing in (tmp_path / "e2e-1", tmp_path / "none*.xml"):
        with pytest.raises(ConfigurationError, match="cannot read the tests in"):
            read_test_list(nothing)
