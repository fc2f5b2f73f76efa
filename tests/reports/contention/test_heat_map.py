"""Heat map of contention: the tests in each other's way, whatever they are called, in any room."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.locks.contention.contention import Pair
from pgwatch_tests.locks.contention.ranking import BlockedTime
from pgwatch_tests.reports.contention.heat_map import (
    heat_lines,
    heat_map,
    most_tests,
    place_at,
    place_of,
)
from pgwatch_tests.text.toned_text import text_of

NAMES = st.text("abc:/>. \x1b", min_size=1, max_size=30)
PAIRS = st.lists(
    st.tuples(
        st.builds(Pair, NAMES, NAMES), st.builds(BlockedTime, st.floats(0, 500), st.just(1), st.just(0.5))
    ),
    max_size=30,
)


def test_row_blocks_column() -> None:
    import_, export, pay = "t/calendar.py::test_import", "t/calendar.py::test_export", "t/pay.py::test_pay"
    shown = heat_map(
        [
            (Pair(import_, export), BlockedTime(70.0, 3, 40.0)),
            (Pair(import_, pay), BlockedTime(5.0, 1, 5.0)),
            (Pair(pay, pay), BlockedTime(0.5, 1, 0.5)),
        ],
        9,
    )
    assert shown.tests == (import_, export, pay)
    lines = [text_of(line) for line in heat_lines(shown, 60, (0, 1))]
    assert lines[1:5] == [
        "      blocks ▸ 1  2  3 ",
        " 1 test_import · [█] ▒ ",
        " 2 test_export ·  ·  · ",
        " 3 test_pay    ·  ·  ░ ",
    ]
    assert place_of(shown, Pair(import_, pay)) == (0, 2)
    # Where a cell is drawn is where a click finds it.
    column = lines[2].index("▒")
    assert place_at(shown, column, 2, 60) == (0, 2)
    assert place_at(shown, 3, 2, 60) is None


@given(PAIRS, st.integers(0, 120), st.integers(0, 40))
def test_it_fits_its_room_and_loses_no_time(
    pairs: list[tuple[Pair, BlockedTime]], width: int, height: int
) -> None:
    most = most_tests(width, height, pairs)
    shown = heat_map(pairs, most)
    lines = heat_lines(shown, width)
    assert len(shown.tests) <= most
    if shown.tests:
        assert len(lines) <= height
        assert all(len(text_of(line)) <= width for line in lines[1:-2])
    assert not any("\x1b" in text_of(line) for line in lines)
    whole = heat_map(pairs, 100)
    assert abs(sum(whole.blocked_s.values()) - sum(one.blocked_s for _, one in pairs)) < 1e-6
    assert whole.hidden == 0


def test_the_pairs_with_the_most_time_are_on_a_small_map() -> None:
    # Each test that blocks much waits for nobody: by their own sums, only blockers would be shown.
    pairs = [(Pair(f"b{n}", f"w{n}{k}"), BlockedTime(9.0 - n, 1, 1.0)) for n in range(3) for k in range(3)]
    shown = heat_map(pairs, 4)
    assert set(shown.tests) == {"b0", "w00", "w01", "w02"}
    assert len(shown.blocked_s) == 3


@pytest.mark.parametrize(("most", "more"), [(2, "and 1 more test"), (1, "and 2 more tests")])
def test_tests_without_room_are_counted(most: int, more: str) -> None:
    pairs = [(Pair("a", waiter), BlockedTime(1.0, 1, 1.0)) for waiter in ("b", "c")]
    assert text_of(heat_lines(heat_map(pairs, most), 60, None)[-1]) == more


def test_tests_alike_by_name_are_told_apart() -> None:
    pairs = [(Pair("..st_a.py::test_x #1a2b3c4d", "..st_b.py::test_x #5e6f7a8b"), BlockedTime(1.0, 1, 1.0))]
    shown = [text_of(line) for line in heat_lines(heat_map(pairs, 9), 60)]
    assert shown[2].startswith(" 1 test_x #1a2b3c4d")
    assert shown[3].startswith(" 2 test_x #5e6f7a8b")


def test_names_can_be_read_in_any_room() -> None:
    long = [f"t/a.py::test_number_{number}_of_a_long_list" for number in range(30)]
    pairs = [(Pair(one, other), BlockedTime(1.0, 1, 1.0)) for one, other in pairwise(long)]
    lines = heat_lines(heat_map(pairs, most_tests(86, 60, pairs)), 86)
    assert all("test_number" in text_of(line) for line in lines[2:-2])
    assert most_tests(86, 60, pairs) == 19
    # Short names leave room for more.
    assert (
        most_tests(
            86, 60, [(Pair(f"t/a.py::t{n}", f"t/a.py::t{n + 1}"), one) for n, (_, one) in enumerate(pairs)]
        )
        == 26
    )
