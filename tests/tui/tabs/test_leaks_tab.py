"""The Leaks tab: by table and by test, leftovers, the trend, and what there is to say without any."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pgwatch_tests.errors import ConnectionLostError
from pgwatch_tests.leaks.attribution.ladder import NO_KNOWN_TEST
from pgwatch_tests.leaks.gate import DEFAULT_KINDS
from pgwatch_tests.leaks.model import (
    Attribution,
    Leftover,
    Skipped,
    TableLeak,
    Unchecked,
    UnreadColumn,
)
from pgwatch_tests.text.times import clock
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import snapshot
from tests.tui.acting import Doing
from tests.tui.driving import Feed, leak_report, screen_text, text_of
from tests.tui.tabs.leaking import (
    LEFTOVERS,
    SECRETS,
    SIZES,
    USERS,
    colours,
    feed,
    left_session,
    lines,
    messy,
    opened,
    row_of,
    table_lines,
    told,
    tone_colour,
)


@pytest.mark.parametrize("size", SIZES)
async def test_leftovers_are_rows_beside_the_tables(size: tuple[int, int]) -> None:
    app = feed(messy()).dashboard()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        drawn = screen_text(app)
        assert app.query_one("#leaks", LiveTable).row_count == 6
        assert "7 leaked rows, 4+ leftovers, 1 not checked, 12 tables checked" in drawn
        users = row_of(app, "public.users")
        since_last = ["–"] if size[0] > 80 else []  # names are longer than there is room for
        assert users.split()[: 3 + len(since_last)] == ["public.users", "7", *since_last, "?"]
        assert "test_two_parents_one_slot" in users
        schema = row_of(app, "test_1")
        assert "test schema" in schema
        assert "2h05m" in schema
        assert "pid 4711 idle in tx" in row_of(app, "pid 4711")
        assert "test_two_parents_one_slot" in row_of(app, "pid 4711")
        assert len([line for line in table_lines(app) if "advisory lock 42" in line]) == 2
        assert "not checked: 2 " in drawn
        # What couldn't be looked for isn't a row that may be leaked.
        assert "7 rows leaked" in text_of(app, "#verdict")
        assert "7+" not in text_of(app, "#verdict")
        assert max(map(len, lines(app))) <= size[0]


async def test_the_example_of_a_leftover_is_what_its_test_doesnt_say() -> None:
    app = feed(messy()).dashboard()
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        assert row_of(app, "pid 4711").split("  ")[-1].strip() == "user app"


async def test_rows_of_an_unknown_hash_say_what_would_name_it() -> None:
    hashed = Attribution("", "unknown", 6, detail=f"#90c94f42: {NO_KNOWN_TEST}")
    unlogged = Attribution("", "unknown", 1, detail="there is no transaction log")
    leak = replace(USERS, attribution=(hashed, unlogged))
    app = feed(leak_report(leak)).dashboard()
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        assert "unknown +1  #90c94f42: a hash" in row_of(app, "public.users")
        fix = "Fix Start this with --tests FILE"
        assert fix in " ".join(text_of(app, "#leak-detail-text").split())
        # By test, each says why it isn't known.
        await pilot.press("s")
        await settled(pilot)
        assert row_of(app, "unknown  #90c94f42: a hash of no known test")
        assert row_of(app, "unknown  no transaction log")
        assert fix in " ".join(text_of(app, "#leak-detail-text").split())


async def test_without_a_log_it_says_how_one_is_kept() -> None:
    unlogged = Attribution("", "unknown", 7, detail="there is no transaction log")
    app = feed(leak_report(replace(USERS, attribution=(unlogged,)))).dashboard()
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        said = " ".join(text_of(app, "#leak-detail-text").split())
        assert "keep a transaction log: pgwatch-tests run -- pytest --pgwatch=warn, or" in said
        assert "pytest --pgwatch-log DIR and PGWATCH_TRANSACTIONS=DIR here" in said


async def test_with_a_log_it_doesnt_ask_for_one() -> None:
    why = "autocommit writes have no transaction to tell by"
    unsure = Attribution("", "1 of N", 7, ("tests/test_app.py::test_import_users",), why)
    app = feed(leak_report(replace(USERS, attribution=(unsure,)))).dashboard()
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        said = " ".join(text_of(app, "#leak-detail-text").split())
        assert "perhaps: test_import_users" in row_of(app, "public.users")
        assert f"perhaps test_import_users 7 rows (1 of 1): {why}" in said
        assert "run once without -n" in said
        assert "transaction log" not in said


async def test_tests_that_it_may_have_been_are_named_whole() -> None:
    names = ("test_import_users", "test_signup_cleans_up", "test_title")
    of_three = Attribution("", "1 of N", 4, tuple(f"tests/test_app.py::{name}" for name in names))
    users = replace(USERS, attribution=(of_three, Attribution("", "unknown", 3)))
    app = feed(leak_report(users)).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert "1 of 3, 1 other: test_import_users +2" in screen_text(app)
    app = feed(leak_report(replace(users, attribution=(replace(of_three, rows=7),)))).dashboard()
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        assert "1 of 3: test_import_users, test_signup_cleans_up +1" in screen_text(app)


@pytest.mark.parametrize("size", SIZES)
async def test_by_test_and_back(size: tuple[int, int]) -> None:
    app = feed(messy()).dashboard()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        assert "by table, s: by test" in screen_text(app) or size[0] == 80
        await pilot.press("s")
        await settled(pilot)
        # The test's own name survives where there is little room.
        known = row_of(app, "test_two_parents_one_slot")
        assert "5  marker" in known
        assert "public.users" in known
        assert any(line.split()[:3] == ["unknown", "2", "unknown"] for line in table_lines(app))
        # What is left besides rows is there, too.
        assert "pid 4711 idle in tx" in screen_text(app)
        await pilot.press("w")
        await settled(pilot)
        assert "s groups by table" in told(app)[-1]
        await pilot.press("s")
        await settled(pilot)
        assert "4711" in screen_text(app)


@pytest.mark.parametrize("size", SIZES)
async def test_what_a_test_left_besides_rows_stands_under_it_whatever_the_order(
    size: tuple[int, int],
) -> None:
    left = left_session(4713, "tests/a.py::test_without_rows")
    app = feed(replace(messy(), leftovers=(*LEFTOVERS, left), unchecked=())).dashboard(act=Doing())
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await pilot.press("s")
        await settled(pilot)
        shown = [line.split() for line in table_lines(app)[1:] if line.strip()]
        # Each leftover once: that of a test with rows, of one without any, of nobody known.
        assert [line[0] for line in shown] == [
            *("test_two_parents_one_slot", "└", "unknown", "test_without_rows"),
            *("unknown", "unknown", "unknown"),
        ]
        assert "test schema test_1717" in " ".join(shown[4])
        await pilot.press("S")
        await settled(pilot)
        assert [line.split()[0] for line in table_lines(app)[1:4]] == [
            *("unknown", "test_two_parents_one_slot", "└"),
        ]
        # Keys do with it what they do by table.
        await pilot.press("home", "down", "down")
        await settled(pilot)
        assert "K ends it, after a question" in screen_text(app)


async def test_a_session_with_a_test_is_enough_to_group_by() -> None:
    app = feed(replace(leak_report(), leftovers=LEFTOVERS[1:2])).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("s")
        await settled(pilot)
        assert "pid 4711 idle in tx" in row_of(app, "test_two_parents_one_slot")


async def test_what_is_new_since_the_count_before() -> None:
    other = replace(USERS, table="bookings", rows=3)
    source = feed(replace(leak_report(USERS, other), kinds_checked=DEFAULT_KINDS))
    app = source.dashboard()
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot)
        # The first count has none before it.
        assert row_of(app, "public.users").split()[1:3] == ["7", "–"]
        more = leak_report(
            replace(USERS, rows=9), replace(other, rows=2), replace(USERS, table="new", rows=1)
        )
        source.leaks = replace(more, leftovers=LEFTOVERS[:1], kinds_checked=DEFAULT_KINDS)
        await pilot.press("r")
        await settled(pilot)
        assert row_of(app, "public.users").split()[1:3] == ["9", "+2"]
        assert row_of(app, "public.bookings").split()[1:3] == ["2", "-1"]
        assert row_of(app, "public.new").split()[1:3] == ["1", "+1"]
        assert row_of(app, "test_1717").split()[1:3] == ["–", "new"]
        assert "9 leaked rows, +2 since the count before" in screen_text(app)
        # Of a table that wasn't checked before, nobody knows.
        source.leaks = replace(leak_report(), skipped=(Skipped("public", "users", "locked"),))
        await pilot.press("r")
        await settled(pilot)
        source.leaks = leak_report(USERS)
        await pilot.press("r")
        await settled(pilot)
        assert row_of(app, "public.users").split()[1:3] == ["7", "–"]


async def test_only_what_was_checked_is_calm() -> None:
    clean = replace(leak_report(), kinds_checked=DEFAULT_KINDS)
    source = feed(clean)
    app = source.dashboard()
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot)
        good = tone_colour(app, "good")
        assert colours(app, "#no-leaks", "No leaked rows") == {good}
        for report in (
            replace(clean, kinds_checked=()),
            replace(clean, unread=(UnreadColumn("public", "books", "cover", "bytea"),)),
        ):
            source.leaks = report
            await pilot.press("r")
            await settled(pilot)
            assert "No leaked rows in 12 tables of test_app." in screen_text(app)
            assert good not in colours(app, "#no-leaks", "No leaked rows")
        assert "1 column not read: public.books.cover (bytea)" in screen_text(app)
        # What wasn't checked is a row of its own, and nothing is calm.
        source.leaks = replace(clean, skipped=(SECRETS,))
        await pilot.press("r")
        await settled(pilot)
        assert row_of(app, "app.secrets").split()[1] == "?"
        assert colours(app, "#leaks-summary", "1 not checked") == {tone_colour(app, "notice")}


@pytest.mark.parametrize("size", SIZES)
async def test_without_colours_marks_tell(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = feed(replace(messy(), skipped=(SECRETS,))).dashboard()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        begins = [line.strip()[:2] for line in table_lines(app)[1:] if line.strip()]
        assert begins == ["! ", "! ", "! ", "* ", "* ", "? ", "? "]


async def test_by_test_only_if_it_is_known() -> None:
    source = feed(messy())
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("s")
        source.leaks = leak_report(replace(USERS, attribution=()))
        await pilot.press("r")
        await settled(pilot)
        # Nothing is known of tests now: the tables are shown, and tests again once there are some.
        assert "Known by" not in screen_text(app)
        assert "public.users" in screen_text(app)
        source.leaks = messy()
        await pilot.press("r")
        await settled(pilot)
        assert "Known by" in screen_text(app)
        await pilot.press("s")
        source.leaks = leak_report()
        await pilot.press("r")
        await settled(pilot)
        await pilot.press("s")
        await settled(pilot)
        # Nothing can be summed up by test: the key isn't offered.
        assert "s Sort" not in screen_text(app)


async def test_the_trend_since_the_start() -> None:
    source = feed(leak_report())
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert not app.query_one("#leaks-trend").display
        for number, rows in enumerate((7, 28, 14), start=1):
            at = leak_report().checked_at + timedelta(seconds=10 * number)
            source.leaks = replace(leak_report(replace(USERS, rows=rows)), checked_at=at)
            await pilot.press("r")
            await settled(pilot)
        start = clock(leak_report().checked_at)
        assert text_of(app, "#leaks-trend") == f"▁▃█▅  14 leaked rows now, peak 28 since {start}"
        # It goes on while another tab is open.
        await pilot.press("1")
        source.leaks = replace(leak_report(), checked_at=leak_report().checked_at + timedelta(seconds=40))
        await pilot.press("r")
        await settled(pilot)
        await pilot.press("3")
        await settled(pilot)
        assert text_of(app, "#leaks-trend") == f"▁▃█▅▁  0 leaked rows now, peak 28 since {start}"
        assert "No leaked rows in 12 tables of test_app." in screen_text(app)


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_left_says_what_was_looked_for(size: tuple[int, int]) -> None:
    app = feed(replace(leak_report(), kinds_checked=DEFAULT_KINDS)).dashboard()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        drawn = screen_text(app)
        assert "No leaked rows in 12 tables of test_app." in drawn
        assert "Leftovers looked for: test schemas, sessions idle in transaction" in drawn
        assert "test_app: 0 leaked rows, 0 leftovers, 12 tables checked · at 12:00:00 UTC" in drawn
        assert not app.query_one("#leaks-trend").display


async def test_without_a_count_it_says_why() -> None:
    source = Feed(snapshot(), ConnectionLostError("connection refused"))
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert "Not counted: connection refused" in screen_text(app)
        await pilot.press("s")
        await settled(pilot)
        # Nothing can be summed up by test: the key isn't offered.
        assert "s Sort" not in screen_text(app)


async def test_the_filter_finds_leftovers() -> None:
    app = feed(messy()).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("slash", *"advisory")
        await settled(pilot)
        assert app.query_one("#leaks", LiveTable).row_count == 2
        await pilot.press("x")
        await settled(pilot)
        assert "No line matches 'advisoryx'. escape clears the filter." in screen_text(app)


HOSTILE = "[red]boo[/red] [@click=app.quit]x[/]\n\x1b[31mred\x1b]0;owned\x07 \\xff \u202e {x} %s"


async def test_hostile_text_is_shown_as_harmless_text() -> None:
    leak = TableLeak(
        *(HOSTILE, HOSTILE, "table", (HOSTILE,), 1),
        samples=(HOSTILE,),
        attribution=(Attribution(HOSTILE, "marker", 1),),
    )
    report = replace(
        leak_report(leak),
        leftovers=(Leftover("schema", HOSTILE, HOSTILE, 1.0),),
        unchecked=(Unchecked("setting", HOSTILE, HOSTILE),),
    )
    app = feed(report).dashboard()
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        for _ in range(2):
            drawn = screen_text(app)
            assert not {"\x1b", "\x07", "\u202e"} & set(drawn)
            assert "[red]boo[/red]" in drawn
            await pilot.press("s")
            await settled(pilot)


async def test_what_nobody_could_count_is_unknown() -> None:
    app = feed(replace(leak_report(), skipped=(SECRETS,))).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert "? leaked rows" in text_of(app, "#leaks-summary")
        assert "no leaked rows found, but 1 not checked" in text_of(app, "#verdict").casefold()


async def test_what_is_cut_last_in_the_line_below_is_what_tells_most() -> None:
    changing = Skipped("*", "*", "changed during every attempt to check it")
    app = feed(replace(messy(), skipped=(changing,))).dashboard()
    async with app.run_test(size=(100, 24)) as pilot:
        await opened(pilot)
        assert f"2 not checked, 12 tables checked · at {clock(messy().checked_at)} · by" in screen_text(app)
        assert row_of(app, "some tables").startswith("some tables")
        assert "*.*" not in screen_text(app)
