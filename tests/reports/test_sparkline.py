from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.reports.render.sparkline import NOT_WATCHED, sparkline


@pytest.mark.parametrize(
    ("values", "width", "shown"),
    [
        ([], 10, ""),
        ([0, 0], 10, "▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], 10, "▁▂▃▄▅▆▇█"),
        ([0, 1, 1000], 10, "▁▂█"),
        ([3, None, 0], 10, "█ ▁"),
        ([0, 5, 0, 0, None, None, None, 1], 4, "█▁ ▃"),
    ],
)
def test_the_line(values: list[int | None], width: int, shown: str) -> None:
    assert sparkline(values, width) == shown


@given(st.lists(st.none() | st.integers(0, 10_000), max_size=300), st.integers(1, 120))
def test_it_fits_and_tells_something_from_nothing(values: list[int | None], width: int) -> None:
    shown = sparkline(values, width)
    assert len(shown) == min(len(values), width)
    known = [value for value in values if value is not None]
    assert ("█" in shown) == (max(known, default=0) > 0)
    assert (set(shown) <= {NOT_WATCHED}) == (not known)
