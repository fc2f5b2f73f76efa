"""Schemas without a lease and prepared transactions go by a key, after a question that says what they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.errors import ConnectionLostError, PgwatchError
from pgwatch_tests.leaks.model import LeakReport, Leftover
from pgwatch_tests.reports.leaks import leak_calm
from pgwatch_tests.sweep.model import Orphan
from pgwatch_tests.sweep.orphans.orphan_facts import OrphanFacts
from pgwatch_tests.sweep.request import SweepPart
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.screens.confirm import ConfirmSweepScreen
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from tests.locks.snapshots import session, snapshot
from tests.reports.sweeps.test_orphan_question import PREPARED
from tests.sweep.reports import NOTHING
from tests.tui.acting import Doing
from tests.tui.driving import Feed, leak_report, screen_text, until
from tests.tui.tabs.leaking import SECRETS, SIZES, left_session, messy, told
from tests.tui.tabs.sweeping import PLAN, Sweeping, press

PART = SweepPart("schemas", "test_gw0", confirmed="4711")
SCHEMA = OrphanFacts(PART, "app_test", "ci", tables=2, size_bytes=0)
KEPT = replace(
    NOTHING,
    orphans=(
        Orphan("schemas", "test_gw0", removed=False, reason="unleased_name"),
        Orphan("prepared", "left", removed=False, reason="too_young", detail="3 s old", age_s=3.0),
    ),
)


def dashboard(known: OrphanFacts | PgwatchError | None = SCHEMA) -> tuple[Sweeping, Dashboard]:
    """A dashboard in whose database a schema and a prepared transaction are left, and all that is swept."""
    sweeping = Sweeping(replace(NOTHING, orphans=(Orphan("schemas", "test_gw0", removed=True),)))
    sweeping.orphans = {"left": PREPARED} if known is None else {"test_gw0": known, "left": PREPARED}
    left = (Leftover("schema", "test_gw0"), Leftover("prepared_transaction", "left", age_s=3.0))
    report = replace(leak_report(), leftovers=left)
    return sweeping, Feed(snapshot(), report).dashboard(sweeps=sweeping.desk())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("key", ["K", "w"])
async def test_one_key_in_leaks_asks_with_the_facts_and_removes_it(size: tuple[int, int], key: str) -> None:
    sweeping, app = dashboard()
    async with app.run_test(size=size) as pilot:
        drawn = await press(pilot, "3")
        assert "K removes it, after a question" in drawn
        assert "K Drop" in drawn
        drawn = await press(pilot, key)
        assert "Drop the schema test_gw0 with all that is in it?" in drawn
        assert "app_test on db.test:5432" in drawn
        assert sweeping.begun == []
        await press(pilot, "n")
        assert sweeping.begun == []
        await press(pilot, key, "y")
        (begun,) = sweeping.begun
        assert (begun.part, begun.dry_run) == (PART, False)
        assert told(app)[-1] == "Schema test_gw0 dropped"
        # What is planned next is everything again.
        await press(pilot, "5", "p")
        assert sweeping.begun[1].part is None


async def test_after_a_removal_in_leaks_the_next_row_is_selected_but_not_after_a_count() -> None:
    sweeping, _ = dashboard()
    schemas = [Leftover("schema", name) for name in ("test_a", "test_b", "test_c")]
    sweeping.orphans = {one.name: replace(SCHEMA, part=replace(PART, name=one.name)) for one in schemas}
    source = Feed(snapshot(), replace(leak_report(), leftovers=tuple(schemas)))
    app = source.dashboard(sweeps=sweeping.desk())
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "3", "down", "K")
        source.leaks = replace(leak_report(), leftovers=(schemas[0], schemas[2]))
        await press(pilot, "y")
        table = app.query_one("#leaks", LiveTable)
        await until(pilot, lambda: table.row_count == 2 and table.current_key == "left schema test_c")
        assert "Drop the schema test_c" in await press(pilot, "K")
        await press(pilot, "n")
        # What somebody else removes leaves no neighbour selected.
        source.leaks = replace(leak_report(), leftovers=(schemas[0],))
        await press(pilot, "up", "down", "r")
        await until(pilot, lambda: table.row_count == 1)
        assert table.current_key is None


async def test_a_prepared_transaction_is_asked_about_whatever_its_age() -> None:
    sweeping, app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        drawn = await press(pilot, "3", "down", "K")
        assert "Roll back the prepared transaction left?" in drawn
        assert "public.users, public.posts" in drawn
        await press(pilot, "y")
        assert [one.part for one in sweeping.begun] == [PREPARED.part]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (replace(SCHEMA, why_not="t is locked by pid 3"), "t is locked by pid 3"),
        (ConnectionLostError("connection refused"), "Not removed: connection refused"),
        (None, "Schema test_gw0 is gone already."),
    ],
)
async def test_what_cant_go_is_told_and_no_question_asked(
    known: OrphanFacts | PgwatchError | None, words: str
) -> None:
    sweeping, app = dashboard(known)
    async with app.run_test(size=(80, 24)) as pilot:
        drawn = await press(pilot, "3", "w")
        assert words in drawn or told(app)[-1] == words
        assert not isinstance(app.screen, ConfirmSweepScreen)
        await pilot.press("y")
        assert sweeping.begun == []


@pytest.mark.parametrize("size", SIZES)
async def test_k_in_sweeps_asks_about_what_stays(size: tuple[int, int]) -> None:
    sweeping, app = dashboard()
    sweeping.outcome = KEPT
    async with app.run_test(size=size) as pilot:
        drawn = await press(pilot, "5", "p", "down")
        # Once, and nothing of another way.
        pane = " ".join(drawn.rpartition("─────")[2].split())
        assert pane.count("K removes it, after a question") == 1
        assert "drop it yourself" not in pane
        assert "K Drop" in drawn
        drawn = await press(pilot, "K")
        assert "Drop the schema test_gw0 with all that is in it?" in drawn
        await press(pilot, "y")
        assert [(one.part, one.dry_run) for one in sweeping.begun] == [(None, True), (PART, False)]


@pytest.mark.parametrize("size", SIZES)
async def test_plan_question_and_sweep_say_what_no_sweep_removes_and_where_it_is(
    size: tuple[int, int],
) -> None:
    sweeping, _ = dashboard()
    sweeping.outcome = PLAN
    left = (
        left_session(4712),
        Leftover("prepared_transaction", "left"),
        Leftover("unlogged_table", "public.cache"),
    )
    source = Feed(snapshot((), (session(4712),)), replace(leak_report(), leftovers=left))
    app = source.dashboard(sweeps=sweeping.desk(), act=Doing())
    clause = "1 session is left, too (pid 4712): 3, then K"
    async with app.run_test(size=size) as pilot:
        drawn = await press(pilot, "5", "p")
        assert clause in " ".join(drawn.split())
        assert f"│ {clause}" in await press(pilot, "w")
        drawn = await press(pilot, "y")
        assert "[Last sweep]" in drawn
        assert clause in " ".join(drawn.split())
        # There its row is selected, whichever was before.
        drawn = await press(pilot, "3")
        assert "pid 4712  session idle in transaction" in drawn
        assert "K ends it, after a question" in drawn
        await press(pilot, "down", "C")
        assert told(app)[-1] == "The selected row is no session: that of pid 4712 is row 1 of this list."
        await press(pilot, "5")
        # Of another database nothing is said.
        sweeping.outcome = replace(PLAN, database="another_test")
        assert "is left, too" not in await press(pilot, "p")


def test_leftovers_of_several_sessions_are_told_together() -> None:
    left = [left_session(pid) for pid in (4712, 4713)]
    report = replace(leak_report(), leftovers=(*left, Leftover("schema", "test_gw0")))

    def told_of(report: LeakReport, *, acts: bool) -> str:
        return leak_calm.left_by_sweeps(report, lambda name: f"<{name}>", acts=acts)

    words = "2 sessions are left, too (pid 4712, pid 4713): <leaks>"
    assert told_of(report, acts=True) == f"{words}, then <terminate>"
    assert told_of(report, acts=False) == words
    assert told_of(leak_report(), acts=True) == ""


async def test_after_a_sweep_the_row_that_is_left_to_do_is_selected() -> None:
    sweeping, app = dashboard()
    sweeping.outcome = replace(PLAN, orphans=KEPT.orphans[:1])
    async with app.run_test(size=(80, 24)) as pilot:
        drawn = await press(pilot, "5", "w", "y")
        assert "[Last sweep]" in drawn
        assert "K removes it, after a question" in drawn
        await press(pilot, "K", "y")
        assert sweeping.begun[-1].part == PART


async def test_after_a_removal_in_sweeps_the_rest_of_the_plan_stays_with_the_next_row_selected() -> None:
    sweeping, app = dashboard()
    sweeping.outcome = replace(PLAN, orphans=KEPT.orphans)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5", "p", "end")
        assert "test_gw0" in screen_text(app)
        sweeping.outcome = replace(NOTHING, orphans=(Orphan("schemas", "test_gw0", removed=True),))
        drawn = await press(pilot, "K", "y")
        assert told(app)[-1] == "Schema test_gw0 dropped"
        assert "[Plan]" in drawn
        assert "public.bookings" in drawn
        assert "schema not named" not in drawn
        # What else goes after a question is next.
        assert "Roll back the prepared transaction left?" in await press(pilot, "K")
        await press(pilot, "n")
        # What stays after all is told in the place of the plan.
        kept = Orphan("prepared", "left", removed=False, reason="changed", detail="it had already ended")
        sweeping.outcome = replace(NOTHING, orphans=(kept,))
        assert "[Last sweep]" in await press(pilot, "K", "y")


async def test_several_schemas_in_one_line_are_asked_about_in_leaks() -> None:
    sweeping, app = dashboard()
    two = tuple(Orphan("schemas", name, False, "unleased_name") for name in ("test_a", "test_b"))
    sweeping.outcome = replace(NOTHING, orphans=two)
    async with app.run_test(size=(80, 24)) as pilot:
        drawn = await press(pilot, "5", "p")
        assert "3 lists each: K removes it there, after a question" in drawn
        await press(pilot, "K")
        assert told(app)[-1] == "Leaks (3) lists each of these: K asks about it."


async def test_nothing_is_asked_where_nothing_may_be_changed() -> None:
    sweeping, _ = dashboard()
    sweeping.acts, sweeping.orphans, sweeping.outcome = False, None, KEPT
    left = replace(leak_report(), leftovers=(Leftover("schema", "test_gw0"),))
    app = Feed(snapshot(), left).dashboard(sweeps=sweeping.desk())
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "3", "w")
        assert told(app)[-1].startswith("A sweep leaves this test schema")
        await press(pilot, "5", "p", "down", "K")
        assert told(app)[-1] == "This dashboard is read-only: nothing is swept, and no job is changed."
        assert "removes it, after a question" not in screen_text(app)


@pytest.mark.parametrize(("keys", "unheard"), [("3", "w"), ("3", "K"), ("5", "w"), ("5", "K")])
async def test_nothing_is_removed_from_the_past(keys: str, unheard: str) -> None:
    sweeping, app = dashboard()
    sweeping.outcome = KEPT
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.data.past is not None)
        app.data.view(app.data.snapshot)
        app.action_refresh()
        drawn = await press(pilot, keys)
        assert "removes it, after a question" not in drawn
        assert "then sweep" not in drawn
        await press(pilot, unheard)
        assert told(app)[-1] == "That is the past: escape goes back to now."
        assert (sweeping.begun, len(app.screen_stack)) == ([], 1)


async def test_the_number_of_leaks_is_one() -> None:
    _, app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        assert "3 Leaks 2 " in await press(pilot, "3")
    app = Feed(snapshot(), messy()).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        assert "3 Leaks 11 " in await press(pilot, "3")
    app = Feed(snapshot(), replace(messy(), skipped=(SECRETS,))).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        assert "3 Leaks 11+ " in await press(pilot, "3")
