"""The Leaks tab: by table and by test, leftovers, the trend, and what there is to say without any."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from textual.pilot import Pilot

from pgwatch_tests.errors import ConnectionLostError
from pgwatch_tests.leaks.gate import DEFAULT_KINDS
from pgwatch_tests.leaks.model import Attribution, LeakReport, Leftover, Skipped, TableLeak, Unchecked
from pgwatch_tests.text.times import clock, in_full
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.widgets.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import snapshot
from tests.tui.driving import Feed, dialog_text, leak_report, screen_text, text_of

SIZES = [(80, 24), (140, 40)]
TEST = "tests/test_booking.py::test_two_parents_one_slot"
USERS = TableLeak(
    *("public", "users", "table", ("email",), 7),
    samples=("par…@test.example.com",),
    attribution=(Attribution(TEST, "marker", 5), Attribution("", "unknown", 2)),
)
LEFTOVERS = (
    Leftover("schema", "test_1717171717171_4711_x7f3", "12 relations, owner ci", 7500.0),
    Leftover("idle_in_transaction", "pid 4711", f"test {TEST} (pytest gw0), user app", 12.0),
    Leftover("advisory_lock", "42", "pid 4711, idle, user app"),
    Leftover("advisory_lock", "42", "pid 4712, idle, user app"),
)
HIDDEN = Unchecked("idle_in_transaction", "2 sessions of other roles not visible: needs pg_monitor")


def messy() -> LeakReport:
    return replace(leak_report(USERS), leftovers=LEFTOVERS, unchecked=(HIDDEN,), kinds_checked=DEFAULT_KINDS)


async def opened(pilot: Pilot[int]) -> None:
    await pilot.pause()
    await pilot.press("3")
    await settled(pilot)


def feed(report: LeakReport) -> Feed:
    return Feed(snapshot(), report)


def told(app: Dashboard) -> list[str]:
    return [notification.message for notification in app._notifications]


def lines(app: Dashboard) -> list[str]:
    return screen_text(app).splitlines()


@pytest.mark.parametrize("size", SIZES)
async def test_leftovers_are_rows_beside_the_tables(size: tuple[int, int]) -> None:
    app = feed(messy()).dashboard()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        drawn = screen_text(app)
        assert app.query_one("#leaks", LiveTable).row_count == 6
        assert "7 leaked rows, 4+ leftovers, 12 tables checked, 1 not checked" in drawn
        (users,) = [line for line in lines(app) if "public.users" in line]
        assert users.split()[:4] == ["public.users", "7", "?", "email"]
        (schema,) = [line for line in lines(app) if "2h05m" in line]
        assert "test schema" in schema
        assert schema.split()[0].startswith("test_1")
        assert "pid 4711" in drawn
        assert "not checked: 2 session" in drawn
        # What couldn't be looked for isn't a row that may be leaked.
        assert "7 rows leaked" in text_of(app, "#verdict")
        assert "7+" not in text_of(app, "#verdict")
        assert max(map(len, lines(app))) <= size[0]


@pytest.mark.parametrize("size", SIZES)
async def test_by_test_and_back(size: tuple[int, int]) -> None:
    app = feed(messy()).dashboard()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        assert "by table, s: by test" in screen_text(app) or size[0] == 80
        await pilot.press("s")
        await settled(pilot)
        rows = [line for line in lines(app) if "public.users" in line]
        assert rows[0].split()[:2] == ["5", "marker"]
        # The test's own name survives where there is little room.
        assert "test_two_parents_one_slot" in rows[0]
        assert rows[1].split()[:2] == ["2", "unknown"]
        assert "4711" not in screen_text(app)
        await pilot.press("s")
        await settled(pilot)
        assert "4711" in screen_text(app)


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
        assert "No leaked rows." in screen_text(app)


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_left_says_what_was_looked_for(size: tuple[int, int]) -> None:
    app = feed(replace(leak_report(), kinds_checked=DEFAULT_KINDS)).dashboard()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        drawn = screen_text(app)
        assert "No leaked rows." in drawn
        assert "Leftovers looked for: test schemas, sessions idle in transaction" in drawn
        assert "0 leaked rows, 0 leftovers, 12 tables checked, 0 not checked" in drawn
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
        assert "No line matches 'advisoryx'. esc clears the filter." in screen_text(app)


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


SECRETS = Skipped(
    *(
        "app",
        "secrets",
        "no SELECT privilege on a table whose name is cut in the table",
    ),
    hint='GRANT SELECT ON app.secrets TO "ci-role"',
)


@pytest.mark.parametrize("size", SIZES)
async def test_enter_shows_all_of_a_row(size: tuple[int, int]) -> None:
    oldest = leak_report().checked_at - timedelta(hours=2)
    users = replace(USERS, oldest=oldest, columns=("email", "a_long_name_of_another_column"))
    report = replace(
        messy(),
        tables=(users,),
        leftovers=(replace(LEFTOVERS[0], hint="ALTER TABLE a VALIDATE CONSTRAINT b"), *LEFTOVERS[1:]),
        skipped=(SECRETS,),
        unchecked=(replace(HIDDEN, hint="GRANT pg_monitor TO ci"),),
    )
    app = feed(report).dashboard()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        found = []
        for _ in range(app.query_one("#leaks", LiveTable).row_count):
            await pilot.press("enter")
            await settled(pilot)
            found.append(dialog_text(app))
            await pilot.press("escape", "down")
            await settled(pilot)
        table, schema, session, _, _, secrets, hidden = found
        assert "email, a_long_name_of_another_column" in table
        assert f"oldest {in_full(oldest)}" in table
        assert "newest ?" in table
        assert f"{TEST} 5 (marker)" in table
        assert "par…@test.example.com" in table
        assert "age 2 h 5 min" in schema
        assert "fix ALTER TABLE a VALIDATE CONSTRAINT b" in schema
        assert f"test {TEST} (pytest gw0), user app" in session
        assert "no SELECT privilege on a table whose name is cut in the table" in secrets
        assert 'GRANT SELECT ON app.secrets TO "ci-role"' in secrets
        assert "2 sessions of other roles not visible: needs pg_monitor" in hidden
        assert "GRANT pg_monitor TO ci" in hidden


async def test_enter_shows_all_of_a_test() -> None:
    app = feed(messy()).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("s", "enter")
        await settled(pilot)
        drawn = screen_text(app)
        assert f"test         {TEST}" in drawn
        assert "5  public.users" in drawn


async def test_what_nobody_could_count_is_unknown() -> None:
    app = feed(replace(leak_report(), skipped=(SECRETS,))).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert "? leaked rows" in text_of(app, "#leaks-summary")
        assert "no leaked rows found, but 1 not checked" in text_of(app, "#verdict").casefold()
