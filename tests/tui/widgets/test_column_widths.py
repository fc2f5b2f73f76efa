"""Columns are as wide as their content, and give way in order where room is short."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.tui.widgets.tables.column_widths import Column, widths

COLUMNS = st.lists(
    st.builds(
        Column,
        label=st.text("abc", max_size=6),
        least=st.integers(0, 12),
        enough=st.integers(0, 30),
        most=st.sampled_from([0, 0, 13]),
        rank=st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
)


@given(COLUMNS, st.data(), st.integers(0, 250))
def test_what_is_shown_fits_and_none_is_wider_than_its_content(
    columns: list[Column], data: st.DataObject, room: int
) -> None:
    contents = data.draw(st.lists(st.integers(0, 80), min_size=len(columns), max_size=len(columns)))
    found = widths(columns, contents, room, 2)
    least = widths(columns, contents, 0, 2)
    assert all(
        width <= max(len(one.label), length)
        for one, width, length in zip(columns, found, contents, strict=True)
    )
    # An empty column without a label has no width, though it is shown.
    taken = sum(width + 2 for width, one in zip(found, columns, strict=True) if width or not one.rank)
    needed = sum(width + 2 for width, one in zip(least, columns, strict=True) if not one.rank)
    assert taken <= max(room, needed)


@given(COLUMNS, st.data(), st.integers(0, 250))
def test_a_column_of_low_rank_is_shown_before_one_of_high_rank(
    columns: list[Column], data: st.DataObject, room: int
) -> None:
    contents = data.draw(st.lists(st.integers(1, 80), min_size=len(columns), max_size=len(columns)))
    found = widths(columns, contents, room, 2)
    assert all(width for width, one in zip(found, columns, strict=True) if not one.rank)
    shown = [one.rank for width, one in zip(found, columns, strict=True) if width]
    hidden = [one.rank for width, one in zip(found, columns, strict=True) if not width]
    assert not shown or not hidden or max(shown) <= min(hidden)


def test_a_short_test_leaves_its_room_to_the_others() -> None:
    columns = (
        Column("Test", least=10, enough=30),
        Column("pid", right=True),
        Column("Query", least=10, enough=24),
    )
    assert widths(columns, (11, 7, 90), 80, 2) == (11, 7, 56)
    assert widths(columns, (40, 7, 90), 40, 2) == (14, 7, 13)
    assert widths(columns, (40, 7, 90), 33, 2) == (10, 7, 10)
    # Less than the least of all: the widest gives way first, none wholly.
    assert widths(columns, (40, 7, 90), 30, 2) == (8, 7, 9)
    assert widths(columns, (40, 7, 90), 20, 2) == (6, 7, 6)


def test_more_columns_where_there_is_room() -> None:
    columns = (Column("Test", least=10, enough=20), Column("Database", rank=2), Column("User", rank=1))
    assert widths(columns, (30, 8, 5), 30, 2) == (21, 0, 5)
    assert widths(columns, (30, 8, 5), 80, 2) == (30, 8, 5)


def test_what_is_always_shown_is_whole_before_others_are_wider_than_they_want() -> None:
    columns = (Column("Waits for", least=10, enough=20), Column("Query", least=10, enough=20, rank=1))
    assert widths(columns, (45, 90), 84, 2) == (45, 35)


def test_a_head_is_short_where_the_column_is_narrow() -> None:
    column = Column("Does, or waits for", least=14, short="Does, waits")
    assert [column.label_in(width) for width in (18, 17)] == ["Does, or waits for", "Does, waits"]
    assert Column("Blocks").label_in(3) == "Blocks"


def test_a_column_gives_way_before_a_name_is_cut_to_what_says_nothing() -> None:
    columns = (
        Column("Test", least=20),
        Column("pid", right=True),
        Column("Does", least=14),
        Column("Blocks", right=True, gives_way=True),
    )
    assert widths(columns, (30, 5, 30, 2), 60, 2) == (23, 5, 18, 6)
    assert widths(columns, (30, 5, 30, 2), 39, 2) == (10, 5, 10, 6)
    assert widths(columns, (30, 5, 30, 2), 38, 2) == (13, 5, 14, 0)
