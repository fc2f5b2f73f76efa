"""A toned text keeps its most telling part."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.text.plain_text import shortened_left
from pgwatch_tests.text.toned_text import Toned, shortened, text_of

PARTS = st.lists(st.builds(Toned, st.text("abc:/ ", max_size=20)), max_size=5).map(tuple)


@given(PARTS, st.integers(0, 60))
def test_it_fits_and_loses_nothing_where_there_is_room(parts: tuple[Toned, ...], width: int) -> None:
    cut = shortened(parts, width)
    assert len(text_of(cut)) <= width
    if len(text_of(parts)) <= width:
        assert cut == parts


def test_the_file_gives_way_before_the_test() -> None:
    cell = (Toned("test_import", "root"), Toned("  tests/test_calendar.py", "quiet"))
    assert text_of(shortened(cell, 24, shortened_left)) == "test_import…_calendar.py"
    assert shortened(cell, 12, shortened_left) == (Toned("test_import", "root"),)
    assert text_of(shortened(cell, 6)) == "test_…"
