"""The detail of a session: what is said of it stands beside its label on any width."""

from __future__ import annotations

import pytest

from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.tui.widgets.still_text import StillText
from screenshots.pictures import settled
from tests.locks.snapshots import edge, snapshot
from tests.tui.driving import Feed, blocked_snapshot, leak_report


@pytest.mark.parametrize("size", [(80, 24), (60, 14), (120, 30)])
async def test_texts_are_wrapped_beside_their_labels(size: tuple[int, int]) -> None:
    app = Feed(blocked_snapshot(), leak_report()).dashboard()
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert app.screen.query_one("#box").border_title == "test_root · pid 1"
        text = app.screen.query_one("#text", StillText)
        advice = text.text.split("\n\n")[0].splitlines()
        assert {line[:13].strip() for line in advice} == {"Why", "Fix", "Now", ""}
        # The screen wraps no line once more, whether or not there is a scroll bar.
        assert max(map(len, advice)) <= text.content_size.width


async def test_how_many_it_blocks_is_told_once() -> None:
    chain = settle(None, snapshot((edge(2, 1, target="table t"), edge(3, 2, target="table u"))))
    app = Feed(chain, leak_report()).dashboard()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        told = []
        for _ in range(2):
            await pilot.press("enter")
            await settled(pilot)
            lines = app.screen.query_one("#text", StillText).text.splitlines()
            told += [line.strip() for line in lines if line.startswith("blocks ")]
            await pilot.press("escape", "down")
            await settled(pilot)
        assert told == ["blocks 2 sessions, 1 directly", "blocks 1 session"]
