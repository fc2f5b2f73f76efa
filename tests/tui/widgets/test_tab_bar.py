"""The bar of tabs and the footer do with a click what their keys do."""

from __future__ import annotations

from pgwatch_tests.tui.widgets.footer import KeyFooter
from pgwatch_tests.tui.widgets.tab_bar import TabBar
from screenshots.pictures import settled
from tests.tui.driving import Feed, blocked_snapshot, leak_report, screen_text


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
