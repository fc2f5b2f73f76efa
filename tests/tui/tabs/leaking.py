"""A report of leaks of every kind, and the Leaks tab that shows one."""

from __future__ import annotations

from dataclasses import replace

from textual.content import Content
from textual.pilot import Pilot
from textual.style import Style as ContentStyle

from pgwatch_tests.leaks.gate import DEFAULT_KINDS
from pgwatch_tests.leaks.model import (
    Attribution,
    LeakReport,
    Leftover,
    LeftSession,
    Skipped,
    TableLeak,
    Unchecked,
)
from pgwatch_tests.text.toned_text import Tone
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from pgwatch_tests.tui.widgets.themes import tone_styles
from screenshots.pictures import settled
from tests.locks.snapshots import session, snapshot
from tests.tui.driving import Feed, leak_report, screen_text

SIZES = [(80, 24), (140, 40)]
TEST = "tests/test_booking.py::test_two_parents_one_slot"
USERS = TableLeak(
    *("public", "users", "table", ("email",), 7),
    samples=("par…@test.example.com",),
    attribution=(Attribution(TEST, "marker", 5), Attribution("", "unknown", 2)),
)


def left_session(pid: int, test: str = "") -> Leftover:
    """A session idle in transaction that `tests.locks.snapshots.session` shows, too."""
    began = session(pid).backend_start
    assert began is not None
    return Leftover(
        "idle_in_transaction", f"pid {pid}", age_s=12.0, test=test, session=LeftSession(pid, began)
    )


LEFTOVERS = (
    Leftover("schema", "test_1717171717171_4711_x7f3", "12 relations, owner ci", 7500.0),
    replace(left_session(4711, TEST), detail=f"test {TEST} (pytest gw0), user app"),
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
