"""A dashboard that is left while its tabs are still mounted ends as one that is left later does."""

from __future__ import annotations

from screenshots.pictures import settled
from tests.tui.driving import Feed, blocked_snapshot, leak_report
from tests.tui.tabs.sweeping import Sweeping


async def test_a_tab_whose_contents_are_gone_already_draws_nothing() -> None:
    app = Feed(blocked_snapshot(), leak_report()).dashboard(sweeps=Sweeping().desk())
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        # The open tab is drawn by the app itself.
        _, *others = app._tabs.values()
        assert len(others) == 4
        for tab in others:
            # As Textual does when it ends: what is inside goes, then comes the message that all is there.
            await tab.remove_children()
            tab.on_mount()
        app.exit(0)
    assert app.return_value == 0
