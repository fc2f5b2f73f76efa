"""The names of tabs fit their line; keys and numbers are never cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.tui.widgets.tab_bar import tab_labels

TITLES = ["Locks", "Sessions", "Leaks", "Contention", "Sweeps"]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, ["1 Locks 4", "2 Sessions 31", "3 Leaks 7+1", "4 Contention", "5 Sweeps"]),
        (60, ["1 Locks 4", "2 Sess 31", "3 Leaks 7+1", "4 Cont", "5 Sweeps"]),
        (50, ["1 Lock 4", "2 Sess 31", "3 Leak 7+1", "4 Cont", "5 Swee"]),
        (45, ["1 Loc 4", "2 Ses 31", "3 Lea 7+1", "4 Con", "5 Swe"]),
        (20, ["1 L 4", "2 S 31", "3 L 7+1", "4 C", "5 S"]),
    ],
)
def test_long_titles_are_shortened_first(width: int, expected: list[str]) -> None:
    assert tab_labels(TITLES, ["4", "31", "7+1", "", ""], width) == expected


@given(st.lists(st.integers(0, 99_999), min_size=5, max_size=5), st.integers(1, 120))
def test_they_fit_unless_there_is_a_letter_of_each_only(numbers: list[int], width: int) -> None:
    counted = [f"{number:,}" if number else "" for number in numbers]
    labels = tab_labels(TITLES, counted, width)
    assert [label.partition(" ")[0] for label in labels] == ["1", "2", "3", "4", "5"]
    assert all(label.endswith(number) for label, number in zip(labels, counted, strict=True))
    taken = sum(len(label) + 2 for label in labels)
    assert taken <= width or all(len(label.split()[1]) == 1 for label in labels)
