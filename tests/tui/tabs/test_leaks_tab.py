"""The Leaks tab: by table and by test, leftovers, the trend, and what there is to say without any."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from textual.content import Content
from textual.pilot import Pilot
from textual.style import Style as ContentStyle
from textual.widgets import TabbedContent

from pgwatch_tests.errors import ConnectionLostError, PgwatchError
from pgwatch_tests.leaks.gate import DEFAULT_KINDS
from pgwatch_tests.leaks.model import (
    Attribution,
    FoundRow,
    FoundRows,
    LeakReport,
    Leftover,
    Skipped,
    TableLeak,
    Unchecked,
    UnreadColumn,
)
from pgwatch_tests.sweep.model import SweepPart
from pgwatch_tests.text.times import clock, in_full
from pgwatch_tests.text.toned_text import Tone
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.widgets.live_table import LiveTable
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.widgets.themes import tone_styles
from screenshots.pictures import settled
from tests.locks.snapshots import snapshot
from tests.tui.driving import Feed, confirm, dialog_text, leak_report, screen_text, text_of
from tests.tui.tabs.sweeping import Sweeping

SIZES = [(80, 24), (140, 40)]
TEST = "tests/test_booking.py::test_two_parents_one_slot"
USERS = TableLeak(
    *("public", "users", "table", ("email",), 7),
    samples=("par…@test.example.com",),
    attribution=(Attribution(TEST, "marker", 5), Attribution("", "unknown", 2)),
)
LEFTOVERS = (
    Leftover("schema", "test_1717171717171_4711_x7f3", "12 relations, owner ci", 7500.0),
    Leftover("idle_in_transaction", "pid 4711", f"test {TEST} (pytest gw0), user app", 12.0, TEST),
    Leftover("advisory_lock", "42", "pid 4711, idle, user app"),
    Leftover("advisory_lock", "42", "pid 4712, idle, user app"),
)
HIDDEN = Unchecked("idle_in_transaction", "2 sessions of other roles not visible: needs pg_monitor")


SECRETS = Skipped(
    *(
        "app",
        "secrets",
        "no SELECT privilege on a table whose name is cut in the table",
    ),
    hint='GRANT SELECT ON app.secrets TO "ci-role"',
)


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


def row_of(app: Dashboard, beginning: str) -> str:
    """The only line of the table that begins so."""
    (line,) = [
        line
        for line in table_lines(app)
        if line.strip().removeprefix("! ").removeprefix("* ").removeprefix("? ").startswith(beginning)
    ]
    return line.strip()


def table_lines(app: Dashboard) -> list[str]:
    """The lines of the table with its head, as they are drawn."""
    region = app.query_one("#leaks", LiveTable).region
    return lines(app)[region.y : region.bottom]


def tone_colour(app: Dashboard, tone: Tone) -> str:
    """The colour of a tone in the present theme."""
    colour = tone_styles(app.get_css_variables())[tone].color
    assert colour is not None
    return colour.name


def colours(app: Dashboard, selector: str, words: str) -> set[str]:
    """The colours of the characters of a widget's text where it says `words`."""
    content = app.query_one(selector, StillText).visual
    assert isinstance(content, Content)
    start = content.plain.index(words)
    return {
        str(span.style.rich_style.color.name)
        for span in content.spans
        if span.start <= start < span.end
        and isinstance(span.style, ContentStyle)
        and span.style.rich_style.color is not None
    }


@pytest.mark.parametrize("size", SIZES)
async def test_leftovers_are_rows_beside_the_tables(size: tuple[int, int]) -> None:
    app = feed(messy()).dashboard()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        drawn = screen_text(app)
        assert app.query_one("#leaks", LiveTable).row_count == 6
        assert "7 leaked rows, 4+ leftovers, 12 tables checked, 1 not checked" in drawn
        users = row_of(app, "public.users")
        since_last = ["–"] if size[0] > 80 else []  # names are longer than there is room for
        assert users.split()[: 3 + len(since_last)] == ["public.users", "7", *since_last, "?"]
        assert "test_two_parents_one_slot" in users
        schema = row_of(app, "test_1")
        assert "test schema" in schema
        assert "2h05m" in schema
        assert "test_two_parents_one_slot" in row_of(app, "pid 4711")
        assert "not checked: 2 " in drawn
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
        # The test's own name survives where there is little room.
        known = row_of(app, "test_two_parents_one_slot")
        assert "5  marker" in known
        assert "public.users" in known
        assert "2  unknown" in row_of(app, "unknown")
        assert "4711" not in screen_text(app)
        await pilot.press("w")
        await settled(pilot)
        assert "s groups by table" in told(app)[-1]
        await pilot.press("s")
        await settled(pilot)
        assert "4711" in screen_text(app)


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
            assert "No leaked rows in 12 tables." in screen_text(app)
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


@dataclass
class Reading:
    """Reads rows as the test says."""

    found: FoundRows | PgwatchError
    asked: list[str] = field(default_factory=list)

    async def read(self, table: str) -> FoundRows:
        self.asked.append(table)
        if isinstance(self.found, PgwatchError):
            raise self.found
        return self.found


FOUND = FoundRows(
    (
        FoundRow(
            (("id", "42"),),
            (("email", "par…@test.example.com"),),
            leak_report().checked_at,
            ("tests/test_booking.py::test_two_parents_one_slot",),
        ),
        FoundRow((), (("email", "x[red]\x1b…@test.example.com"),), None, ()),
    ),
    more=True,
)


@pytest.mark.parametrize("size", SIZES)
async def test_enter_reads_the_rows_of_a_table_only_then(size: tuple[int, int]) -> None:
    reading = Reading(FOUND)
    app = feed(replace(messy(), skipped=(SECRETS,))).dashboard(read_leaked=reading.read)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        assert reading.asked == []
        await pilot.press("enter")
        await settled(pilot)
        assert reading.asked == ["public.users"]
        said = dialog_text(app)
        assert "2 rows, there are more, values shortened:" in said
        assert "id=42 email=par…@test.example.com" in said
        assert "test_two_parents_one_slot" in said
        assert "x[red]␛…@test.example.com" in said
        # Not of what may not be read.
        await pilot.press("escape", "end", "up", "enter")
        await settled(pilot)
        assert "app.secrets" in dialog_text(app)
        assert reading.asked == ["public.users"]
        await pilot.press("escape", "home")
        reading.found = ConnectionLostError("connection refused")
        await pilot.press("enter")
        await settled(pilot)
        assert "Not read: connection refused" in dialog_text(app)
        await pilot.press("escape")
        reading.found = FoundRows((), skipped=(SECRETS,))
        await pilot.press("enter")
        await settled(pilot)
        assert 'GRANT SELECT ON app.secrets TO "ci-role"' in dialog_text(app)


async def test_what_helps_is_copied_and_named() -> None:
    prepared = Leftover("prepared_transaction", "it's\x1b", "owner ci", 3.0)
    report = replace(messy(), leftovers=(*LEFTOVERS[:2], prepared), skipped=(SECRETS,), unchecked=())
    app = feed(report).dashboard()
    copied = []
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot)
        for _ in range(5):
            await pilot.press("y", "down")
            await settled(pilot)
            copied.append((app.clipboard, told(app)[-1].split(":")[0]))
    assert copied == [
        ("pgwatch-tests sweep --table public.users", "Copied the sweep of just these rows"),
        ('DROP SCHEMA "test_1717171717171_4711_x7f3" CASCADE', "Copied the DROP"),
        ("SELECT pg_terminate_backend(4711)", "Copied the statement that ends it"),
        ("ROLLBACK PREPARED U&'it''s\\001B'", "Copied the ROLLBACK"),
        ('GRANT SELECT ON app.secrets TO "ci-role"', "Copied the GRANT"),
    ]


@pytest.mark.parametrize("size", SIZES)
async def test_w_plans_a_sweep_of_just_this(size: tuple[int, int]) -> None:
    sweeping = Sweeping()
    app = feed(messy()).dashboard(sweeps=sweeping.desk())
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        assert "w plans a sweep of just this" in screen_text(app)
        await pilot.press("w")
        await settled(pilot)
        (begun,) = sweeping.begun
        assert (begun.part, begun.dry_run) == (SweepPart("rows", "public.users"), True)
        assert app.query_one(TabbedContent).active == "sweeps-tab"
        assert "[Plan of public.users]" in screen_text(app)
        # The sweep is of the same part as the plan.
        await pilot.press("w")
        await confirm(pilot)
        await settled(pilot)
        assert (sweeping.begun[1].part, sweeping.begun[1].dry_run) == (begun.part, False)
        # A schema alone.
        await pilot.press("3", "down", "w")
        await settled(pilot)
        assert sweeping.begun[2].part == SweepPart("schemas", LEFTOVERS[0].name)
        # `p` plans all again.
        await pilot.press("p")
        await settled(pilot)
        assert sweeping.begun[3].part is None
        sweeping.held = True
        await pilot.press("p", "3", "w")
        await settled(pilot)
        assert len(sweeping.begun) == 5
        assert "A sweep is under way" in told(app)[-1]
        sweeping.begun[4].cancel()


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
        assert "No leaked rows in 12 tables." in screen_text(app)


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_left_says_what_was_looked_for(size: tuple[int, int]) -> None:
    app = feed(replace(leak_report(), kinds_checked=DEFAULT_KINDS)).dashboard()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        drawn = screen_text(app)
        assert "No leaked rows in 12 tables." in drawn
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
        assert "y copies" not in table
        assert "email, a_long_name_of_another_column" in table
        assert f"2 h: oldest {in_full(oldest)}" in table
        assert "test_two_parents_one_slot tests/test_booking.py 5 rows (marker)" in table
        assert "unknown 2 rows" in table
        assert "par…@test.example.com" in table
        assert "2 h 5 min old" in schema
        assert "Fix ALTER TABLE a VALIDATE CONSTRAINT b" in schema
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
        assert "test_two_parents_one_slot  tests/test_booking.py" in drawn
        assert "5  public.users" in drawn


async def test_what_nobody_could_count_is_unknown() -> None:
    app = feed(replace(leak_report(), skipped=(SECRETS,))).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert "? leaked rows" in text_of(app, "#leaks-summary")
        assert "no leaked rows found, but 1 not checked" in text_of(app, "#verdict").casefold()
