"""A dashboard that is left while its tabs are still mounted ends as one that is left later does."""

from __future__ import annotations

import asyncio

import pytest

from pgwatch_tests.tui.tabs.tab import DashboardTab
from tests.tui.driving import Feed, blocked_snapshot, leak_report
from tests.tui.tabs.sweeping import Sweeping


@pytest.mark.parametrize("number", range(1, 5))
async def test_left_as_a_tab_is_mounted(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Feed(blocked_snapshot(), leak_report()).dashboard(sweeps=Sweeping().desk())
    mounted = asyncio.Event()
    seen: list[DashboardTab] = []

    def leave(tab: DashboardTab, _: object = None) -> None:
        seen.append(tab)
        if len(seen) == number + 1:
            app.exit(0)
            mounted.set()

    before = DashboardTab._on_mount

    def on_mount(tab: DashboardTab, event: object) -> None:
        leave(tab)
        return before(tab, event)  # type: ignore[arg-type]

    monkeypatch.setattr(DashboardTab, "_on_mount", on_mount)
    async with app.run_test(size=(100, 24)):
        await mounted.wait()
    assert app.return_value == 0
