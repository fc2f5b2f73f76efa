"""The detail of a session: what is said of it stands beside its label on any width."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.identity import application_name
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.tui.widgets.still_text import StillText
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.driving import Feed, blocked_snapshot, leak_report, screen_text


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


@pytest.mark.parametrize(
    ("application", "name"),
    [
        ("pytest:gw0 tests/a.py::test_slot[parent-0]", "test_slot[parent-0]"),
        ("psql[/bold] x", "psql[/bold] x"),
    ],
)
async def test_brackets_in_a_name_are_no_markup(application: str, name: str) -> None:
    others = (session(2, "pytest:gw1 tests/a.py::test_wait[/x]"), session(4, application))
    edges = (edge(2, 1, wait_s=90.0), edge(3, 4))
    troubled = settle(None, snapshot(edges, (session(1, application), *others)))
    app = Feed(troubled, leak_report()).dashboard()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("n", "enter")
        await settled(pilot)
        assert f"─ {name} · pid 4 ─" in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        # The border tells of the other root, whom the verdict is about.
        border = app.query_one("#lock-detail").region.y
        assert name in screen_text(app).splitlines()[border]
        await pilot.press("slash", *"[/x", "enter", "N", "D")
        await settled(pilot)
        assert "[/x" in screen_text(app)


async def test_the_whole_name_of_a_test_is_told_where_the_application_name_has_not_all_of_it() -> None:
    test = f"tests/test_a.py::test_{'x' * 70}"
    name = application_name.compose("pytest", "gw0", test)
    whole = replace(session(1, name), known_test=test)
    app = Feed(settle(None, snapshot((edge(2, 1),), (whole,))), leak_report()).dashboard()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        said = app.screen.query_one("#text", StillText).text
        assert test in "".join(said.split())
        assert f"application  {name}" in said
