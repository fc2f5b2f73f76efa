"""How old what is swept must be, changed in the dashboard; what there is to mind before it is confirmed."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from pgwatch_tests.reports.locks.test_labels import name_of
from pgwatch_tests.reports.sweeps import sweep_words
from pgwatch_tests.reports.sweeps.sweep_causes import cause_lines
from pgwatch_tests.sweep.model import (
    AlsoReferring,
    ChangedRows,
    Kept,
    Orphan,
    TableRows,
    YoungestRow,
)
from pgwatch_tests.text.times import clock
from pgwatch_tests.tui.screens.confirm import ConfirmSweepScreen, about_any_age, about_plan
from pgwatch_tests.tui.screens.min_age import MinAgeScreen
from tests.locks.snapshots import session, snapshot
from tests.sweep.reports import AT, NOTHING
from tests.tui.driving import screen_text
from tests.tui.tabs.sweeping import PLAN, Sweeping, dashboard, line_with, press

SIZES = [(80, 24), (140, 40)]


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize("size", SIZES)
async def test_another_age_is_previewed_at_once_and_swept_with(size: tuple[int, int]) -> None:
    youngest = YoungestRow("public", "users", AT, "commit", 0)
    young = replace(NOTHING, kept=(Kept("public", "users", 317, "too_young"),), youngest=youngest)
    sweeping = Sweeping(young)
    _, app = dashboard(sweeping)
    async with app.run_test(size=size) as pilot:
        drawn = await press(pilot, "5", "p")
        assert "kept: too young" in drawn
        until = clock(AT + timedelta(seconds=young.min_age_s))
        assert f"nothing to remove yet; 317 kept: too young (317) · old enough by {until}" in drawn
        drawn = await press(pilot, "a")
        assert isinstance(app.screen, MinAgeScreen)
        assert "Minimum age of test data to sweep" in drawn
        assert line_with(drawn, "│ 10m").strip(" │") == "10m"
        assert "enter previews · escape cancels" in drawn
        sweeping.outcome = PLAN
        drawn = await press(pilot, "0", "enter")
        assert not isinstance(app.screen, MinAgeScreen)
        assert [(sweep.dry_run, sweep.min_age_s) for sweep in sweeping.begun] == [(True, 600.0), (True, 0.0)]
        assert "s: jobs · of any age (a: other age)" in drawn
        await press(pilot, "w")
        assert isinstance(app.screen, ConfirmSweepScreen)
        await press(pilot, "y")
        assert (sweeping.begun[-1].dry_run, sweeping.begun[-1].min_age_s) == (False, 0.0)


async def test_what_is_no_age_is_told_and_escape_leaves_it() -> None:
    sweeping = Sweeping()
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        drawn = await press(pilot, "5", "a", *"soon", "enter")
        assert isinstance(app.screen, MinAgeScreen)
        assert "'soon' isn't a duration such as 500ms, 2s, 1.5 or 2m" in drawn
        drawn = await press(pilot, "escape")
        assert "at least 10 min old" in drawn
        assert sweeping.begun == []


async def test_the_age_stays_while_a_sweep_is_under_way() -> None:
    sweeping = Sweeping(held=True)
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5", "p", "a")
        assert not isinstance(app.screen, MinAgeScreen)
        sweeping.begun[0].let_go.set()


async def test_help_names_the_key() -> None:
    _, app = dashboard(Sweeping())
    async with app.run_test(size=(140, 40)) as pilot:
        assert "a       Change the minimum age" in await press(pilot, "5", "question_mark")


@pytest.mark.parametrize("size", SIZES)
async def test_what_is_to_be_minded_is_asked_about(size: tuple[int, int]) -> None:
    plan = replace(
        PLAN,
        planned=(TableRows("public", "users", 6, 0, 0, 6), TableRows("public", "note", 0, 80, 66, 9000)),
        changed=(ChangedRows("public", "book", ("author",), "set_null", 12),),
    )
    _, app = dashboard(Sweeping(plan))
    async with app.run_test(size=size) as pilot:
        await press(pilot, "5", "w")
        # Left and right of the question, the tab under it is to be seen.
        boxed = [line.split("│")[1] for line in screen_text(app).splitlines() if line.count("│") == 2]
        drawn = " ".join(" ".join(boxed).split())
        for sentence in (
            "of these 66 without a marker, in tables where others bear one: public.note (66)",
            "half of a table or more would go: 6 of 6 rows of public.users",
            "12 rows of public.book lose author (SET NULL)",
        ):
            assert sentence in drawn
        drawn = await press(pilot, "n")
        assert "unmarked, by CASCADE" in line_with(drawn, "public.note 66")
        assert "changed, not deleted" in line_with(drawn, "public.book 12")
        assert "half or more of public.users" in drawn
        assert "12 rows of public.book lose author (SET NULL)" in await press(pilot, *"jjj")


def test_of_many_changes_the_first_are_asked_about() -> None:
    changes = tuple(ChangedRows("public", f"t{one}", ("a",), "set_null", one) for one in range(9))

    facts = about_plan(replace(PLAN, changed=changes), 1.0).facts

    assert "8 rows of public.t8 lose a (SET NULL)" in facts
    assert "and 6 more such" in facts


def test_the_age_of_what_is_too_young_is_told_once() -> None:
    young = Orphan("schemas", "test_x", False, "too_young", "28 s old", 28.4)
    older = replace(young, detail="12 tables", age_s=7500.0)

    (line,) = cause_lines(replace(NOTHING, orphans=(young, older)))

    assert (line.group, line.what, line.number) == ("stays", "schemas too young", 2)
    assert line.listed == ("test_x, 28 s old", "test_x, 2 h 5 min old, 12 tables")


async def test_where_all_is_too_young_w_asks_for_a_preview_of_any_age_first() -> None:
    youngest = YoungestRow("public", "users", AT, "commit", 0)
    young = replace(NOTHING, kept=(Kept("public", "users", 317, "too_young"),), youngest=youngest)
    sweeping = Sweeping(young)
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        drawn = await press(pilot, "5", "w")
        assert "Nothing is 10 min old yet. Preview a sweep of any age?" in drawn
        assert "317 rows stay only for being younger than 10 min" in drawn
        await press(pilot, "n")
        assert len(sweeping.begun) == 1
        sweeping.outcome = PLAN
        await press(pilot, "w", "y")
        assert [(one.dry_run, one.min_age_s) for one in sweeping.begun[1:]] == [(True, 0.0)]
        # The yes to a preview isn't one to the sweep.
        assert isinstance(app.screen, ConfirmSweepScreen)
        await press(pilot, "y")
        assert [(one.dry_run, one.min_age_s) for one in sweeping.begun[2:]] == [(False, 0.0)]


@pytest.mark.parametrize("size", SIZES)
async def test_what_real_rows_lose_is_told_by_plan_detail_and_result(size: tuple[int, int]) -> None:
    refer = AlsoReferring("public", "comments", 12, "public", "users")
    changed = (ChangedRows("public", "book", ("author",), "set_null", 1),)
    sweeping = Sweeping(replace(PLAN, also_refer=(refer,), changed=changed))
    _, app = dashboard(sweeping)
    async with app.run_test(size=size) as pilot:
        drawn = await press(pilot, "5", "p", "down", "down")
        part = line_with(drawn, "public.comments 12")
        assert " 12 of these may be real data " in part
        # The line above counts these rows: they have no number of their own.
        assert re.search(r"real data +public\.comments 12", part)
        words = "12 rows of public.comments go though they also refer to real rows of public.users"
        # Once: it is the decision that counts.
        assert " ".join(drawn.rpartition("─────")[2].split()).count(words) == 1
        await press(pilot, "enter")
        assert "12 rows of public.comments go though they also refer" in screen_text(app)
        await press(pilot, "escape")
        # A sweep doesn't ask that again: it is what the preview said.
        sweeping.outcome = replace(sweeping.outcome, also_refer=())  # type: ignore[type-var]
        drawn = await press(pilot, "w", "y")
        assert "[Last sweep]" in drawn
        assert "Went" in line_with(drawn, "public.comments 12")
        assert "also referred to real rows of public.users, by the preview" in " ".join(drawn.split())
        [*_, told] = [one.message for one in app._notifications]
        assert told.startswith(
            "1,204 rows of 2 tables, 1 schema, 1 prepared transaction removed, 1 row changed; "
        )


def test_a_row_that_refers_to_two_tables_that_stay_is_counted_once_and_only_as_dependent() -> None:
    refer = (
        AlsoReferring("public", "comments", 12, "public", "users"),
        AlsoReferring("public", "comments", 9, "public", "posts"),
    )
    plan = replace(NOTHING, planned=(TableRows("public", "comments", 1, 14, of=42),), also_refer=refer)
    lines = cause_lines(plan)
    assert sum(one.number or 0 for one in lines) == plan.planned_rows
    assert [one.what for one in lines] == [
        "marked",
        "depends on marked rows",
        "12+ of these may be real data",
    ]
    assert lines[-1].listed == (
        "12 rows of public.comments go though they also refer to real rows of public.users",
        "9 rows of public.comments go though they also refer to real rows of public.posts",
    )
    named = replace(plan, also_refer=(replace(refer[0], examples=("id=7", "id=\x1b8")),))
    assert cause_lines(named)[-1].listed == ("public.comments: id=7; id=␛8 and 10 more",)
    assert lines[-1].objects == ("public.comments 12+",)
    unmarked = replace(plan, planned=(TableRows("public", "comments", 1, 14, unmarked=2),))
    assert cause_lines(unmarked)[-1].what == "12+ of dependent ones may be real data"


def test_a_sweep_that_is_over_says_what_went_in_list_and_detail() -> None:
    rows = (TableRows("public", "users", 12, 0, of=42),)
    [planned] = cause_lines(replace(NOTHING, planned=rows))
    [went] = cause_lines(replace(NOTHING, planned=rows, deleted=rows, dry_run=False))
    assert (planned.outcome, planned.listed) == ("goes", ("       12  public.users, of about 42",))
    assert (went.outcome, went.listed) == ("went", ("       12  public.users, of about 42 before",))
    assert [one.text for one in went.detail.title] == ["12  marked", "  went"]


def test_tests_that_are_at_work_are_named_before_anything_of_any_age_is_previewed() -> None:
    test, psql = session(4711), session(4712, name="psql")
    elsewhere = replace(session(4713), database="other")
    told = about_any_age(NOTHING, snapshot((), (test, psql, elsewhere))).facts
    assert f"1 session of tests in it now: {name_of(test)}" in told
    assert about_any_age(NOTHING, None).facts == (sweep_words.summary(NOTHING),)
