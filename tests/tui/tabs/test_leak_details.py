"""What helps with a leak: its detail, its rows read on demand, what is copied, a sweep of just it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

import pytest

from pgwatch_tests.errors import ConnectionLostError, PgwatchError
from pgwatch_tests.leaks.model import (
    FoundRow,
    FoundRows,
    Leftover,
)
from pgwatch_tests.locks.actions.action import SessionAction
from pgwatch_tests.locks.model import Party
from pgwatch_tests.reports.leaks.leak_calm import left_by_sweeps
from pgwatch_tests.sweep.request import SweepPart
from pgwatch_tests.text.times import in_full
from pgwatch_tests.tui.screens.confirm import ConfirmScreen
from pgwatch_tests.tui.widgets.tab_bar import TabBar
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import MOMENT, session, snapshot
from tests.tui.acting import Doing
from tests.tui.driving import Feed, confirm, dialog_text, leak_report, screen_text, until
from tests.tui.tabs.leaking import (
    HIDDEN,
    LEFTOVERS,
    SECRETS,
    SIZES,
    TEST,
    USERS,
    feed,
    left_session,
    messy,
    opened,
    told,
)
from tests.tui.tabs.sweeping import Sweeping


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
        FoundRow((("id", "1234"),), (("email", "z…@test.example.com"),), None, ()),
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
        assert "3 rows, there are more, values shortened:" in said
        assert "id=42 email=par…@test.example.com" in said
        columns = {line.index("email=") for line in screen_text(app).splitlines() if "email=" in line}
        assert len(columns) == 1
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


@pytest.mark.parametrize("kind", ["schema", "database"])
async def test_what_no_sweep_would_remove_is_refused_with_what_helps(
    kind: Literal["schema", "database"],
) -> None:
    sweeping = Sweeping()
    report = replace(leak_report(), leftovers=(Leftover(kind, "test_gw0_calendar"),))
    app = Feed(snapshot(), report).dashboard(sweeps=sweeping.desk())
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot)
        drawn = screen_text(app)
        assert "plans a sweep" not in drawn
        assert f'y copies  DROP {kind.upper()} "test_gw0_calendar"' in drawn
        assert "3 Leaks 1" in drawn
        assert f"{'test schema' if kind == 'schema' else 'test database'} test_gw0_calendar left" in drawn
        await pilot.press("w")
        await settled(pilot)
        assert told(app)[-1].startswith(f"A sweep leaves this {'test ' + kind}: only of what")
        assert told(app)[-1].endswith("y copies the DROP.")
        assert sweeping.begun == []


async def test_the_holder_of_a_lock_is_ended_by_a_key_and_told_once_among_sessions() -> None:
    holder = left_session(4711)
    left = [replace(holder, kind="advisory_lock", name=name) for name in ("42", "43")]
    report = replace(leak_report(), leftovers=tuple(left))
    doing = Doing()
    app = Feed(snapshot((), (session(4711, state="idle"),)), report).dashboard(act=doing)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        drawn = screen_text(app)
        assert "K ends its session, after a question" in drawn
        assert "SELECT pg_terminate_backend(4711)" in drawn
        await pilot.press("K")
        await settled(pilot)
        await confirm(pilot)
        await until(pilot, lambda: [one.party.pid for one in doing.asked] == [4711])
    assert left_by_sweeps(report, str, acts=False).startswith("1 session is left, too (pid 4711)")


@pytest.mark.parametrize("acts", [True, False])
async def test_a_session_that_was_left_is_selected_in_sessions_where_a_key_ends_it(acts: bool) -> None:
    left = session(4711, state="idle in transaction")
    shown = snapshot((), (session(3), left, session(5)))
    app = Feed(shown, messy()).dashboard(act=Doing() if acts else None)
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot)
        await pilot.press("down", "down")
        await settled(pilot)
        assert ("K ends it, after a question" in screen_text(app)) == acts
        if acts:
            await pilot.press("A")
            assert told(app)[-1] == "Nobody waits for test_4711 (gw4711, pid 4711): K ends its session."
            await pilot.press("K")
            await settled(pilot)
            assert isinstance(app.screen, ConfirmScreen)
            assert "pid 4711" in screen_text(app)
            await pilot.press("n")
        await pilot.press("2")
        await settled(pilot)
        assert app._tab.selected == Party(4711)
        if acts:
            assert "A Do it" not in screen_text(app).splitlines()[-1]
            await pilot.press("A")
            assert told(app)[-1] == "Nobody waits for test_4711 (gw4711, pid 4711): K ends its session."


@pytest.mark.parametrize("now", ["another session", "no session"])
async def test_a_session_that_is_gone_since_the_count_isnt_taken_for_one_with_its_pid(now: str) -> None:
    left, doing = session(4711, state="idle in transaction"), Doing()
    source = Feed(snapshot((), (session(3), left)), messy())
    app = source.dashboard(act=doing)
    later = replace(session(4711), backend_start=MOMENT + timedelta(seconds=5))
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot)
        await pilot.press("down", "down")
        source.locks = snapshot((), (session(3), later) if now == "another session" else (session(3),), 60.0)
        app.action_refresh()
        await settled(pilot)
        words = f"The session with pid 4711 that was counted is gone: {now} has its pid now. r looks again."
        for key in ("K", "C", "A"):
            await pilot.press(key)
            await settled(pilot)
            assert told(app)[-1] == words
            assert len(app.screen_stack) == 1
        await pilot.press("2")
        await settled(pilot)
        assert app._tab.selected == Party(3)
        await pilot.press("3")
        source.locks = snapshot((), (session(3), left), 120.0)
        app.action_refresh()
        await settled(pilot)
        await pilot.press("K")
        await confirm(pilot)
        await settled(pilot)
    [action] = doing.asked
    assert isinstance(action, SessionAction)
    assert (action.pid, action.backend_start) == (4711, left.backend_start)


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
        assert app.query_one(TabBar).opened == "sweeps-tab"
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
        await pilot.press("p", "3", "home", "w")
        await settled(pilot)
        assert len(sweeping.begun) == 5
        assert "A sweep is under way" in told(app)[-1]
        sweeping.begun[4].cancel()


async def test_no_sweep_is_offered_in_a_database_that_none_may_change() -> None:
    why = "'postgres' is one of the server's own databases, so nothing is changed in it."
    sweeping = Sweeping(orphans={})
    left = (*LEFTOVERS[:2], Leftover("prepared_transaction", "left"))
    report = replace(messy(), leftovers=left, why_not_swept=why)
    app = feed(report).dashboard(sweeps=sweeping.desk(), act=Doing())
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        for _ in range(3):
            drawn = screen_text(app)
            pane = " ".join(drawn.rpartition("─────")[2].split())
            assert (f"Sweep none: {why}" in pane) == ("session idle" not in pane), pane
            assert "plans a sweep" not in pane
            assert "pgwatch-tests sweep" not in pane
            assert "removes it" not in pane
            assert "w Sweep this" not in drawn
            await pilot.press("down")
            await settled(pilot)
        await pilot.press("home", "w")
        await settled(pilot)
        assert told(app)[-1] == why
        await pilot.press("end", "up", "K")
        await settled(pilot)
        assert told(app)[-1] == why
        assert len(app.screen_stack) == 1
        assert sweeping.begun == []


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
