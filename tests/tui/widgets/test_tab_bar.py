"""The bar of tabs: what is cut where there is no room, and the mouse."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.tui.widgets.footer import KeyFooter
from pgwatch_tests.tui.widgets.tab_bar import TabBar, TabLabel, fitted_labels
from screenshots.pictures import settled
from tests.tui.driving import Feed, blocked_snapshot, leak_report, screen_text

TITLES = ("Locks", "Sessions", "Leaks", "Contention", "Sweeps")
LABELS = [TabLabel(place, title, "10" if place < 3 else "") for place, title in enumerate(TITLES, 1)]


def test_titles_are_cut_alike_and_that_of_the_open_tab_last() -> None:
    assert fitted_labels(LABELS, 0, 80) == [
        *("1 Locks 10", "2 Sessions 10", "3 Leaks", "4 Contention", "5 Sweeps")
    ]
    assert fitted_labels(LABELS, 3, 52) == ["1 Loc… 10", "2 Ses… 10", "3 Lea…", "4 Contention", "5 Swe…"]
    assert fitted_labels(LABELS, 3, 42) == ["1 L 10", "2 S 10", "3 L", "4 Contention", "5 S"]
    assert fitted_labels(LABELS, 3, 32) == ["1 L 10", "2 S 10", "3 L", "4 C", "5 S"]


@given(
    st.lists(st.tuples(st.sampled_from(TITLES), st.sampled_from(["", "7", "1,234"])), min_size=1, max_size=7),
    st.integers(0, 6),
    st.integers(1, 120),
)
def test_places_and_numbers_are_whole_and_labels_fit_where_they_can(
    said: list[tuple[str, str]], opened: int, width: int
) -> None:
    labels = [TabLabel(place, *one) for place, one in enumerate(said, 1)]
    texts = fitted_labels(labels, min(opened, len(labels) - 1), width)
    for text, (place, (title, number)) in zip(texts, enumerate(said, 1), strict=True):
        assert text.startswith(f"{place} {title[0]}")
        assert text.endswith(f" {number}" if number else text)
    least = sum(len(one.text(1)) + 2 for one in labels)
    assert sum(len(text) + 2 for text in texts) <= max(width, least)


async def test_a_click_opens_a_tab_or_does_what_a_key_does() -> None:
    source = Feed(blocked_snapshot(waiters=4), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(60, 24)) as pilot:
        await settled(pilot)
        bar, footer = app.query_one(TabBar), app.query_one(KeyFooter)
        await pilot.hover(TabBar, offset=(bar.column_of("sessions-tab"), 0))
        await pilot.click(TabBar, offset=(bar.column_of("sessions-tab"), 0))
        await settled(pilot)
        assert bar.opened == "sessions-tab"
        assert app.focused is not None
        assert app.focused.id == "sessions"
        assert "2 Sessions 5" in screen_text(app)
        # Beside the tabs, and in the space between two keys, there is nothing to click at.
        await pilot.click(TabBar, offset=(59, 0))
        first = footer.shown[0].cells
        await pilot.click(KeyFooter, offset=(first - 1, 0))
        await settled(pilot)
        assert bar.opened == "sessions-tab"
        await pilot.hover(KeyFooter, offset=(first, 0))
        assert footer.tooltip == footer.shown[1].tooltip != ""
        await pilot.click(KeyFooter, offset=(first, 0))
        await settled(pilot)
        assert len(app.screen_stack) == 2
