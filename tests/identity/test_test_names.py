"""A test's id is its name and its place, whatever runner wrote it."""

from __future__ import annotations

import pytest

from pgwatch_tests.identity.test_names import split


@pytest.mark.parametrize(
    ("test", "name", "place"),
    [
        ("tests/a.py::test_b", "test_b", "tests/a.py"),
        ("tests/a.py::TestB::test_c[x::y]", "test_c[x::y]", "tests/a.py::TestB"),
        ("..y::test_a #1a2b3c4d", "test_a #1a2b3c4d", "..y"),
        ("tests/a.test.ts > group > title", "title", "tests/a.test.ts > group"),
        ("[firefox] a.spec.ts > title", "title", "[firefox] a.spec.ts"),
        ("tests.test_a.TestA.test_b", "tests.test_a.TestA.test_b", ""),
        ("booking.test.ts", "booking.test.ts", ""),
        ("#1a2b3c4d", "#1a2b3c4d", ""),
    ],
)
def test_name_and_place(test: str, name: str, place: str) -> None:
    assert split(test) == (name, place)
