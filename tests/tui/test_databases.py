"""Databases of the server are picked: to show the sessions of one, or to count its leaks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.cli.runs.dashboard.counted_database import CountedDatabase
from pgwatch_tests.errors import ConnectionLostError, PgwatchError
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.database_desk import DatabaseDesk
from pgwatch_tests.tui.screens.databases import DatabasesScreen, database_rows
from pgwatch_tests.tui.widgets.filter_line import RowFilter, of_database
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import session, snapshot
from tests.servers.sessions import Database
from tests.tui.driving import NEVER, Feed, leak_report, screen_text, until


@dataclass
class Server:
    """A desk of two databases; remembers which is counted."""

    names: tuple[str, ...] = ("shop", "test_app")
    counted: str = "test_app"
    error: PgwatchError | None = None
    asked: list[str] = field(default_factory=list)

    async def list(self) -> tuple[str, ...]:
        if self.error is not None:
            raise self.error
        return self.names

    def count(self, name: str) -> None:
        self.counted = name
        self.asked.append(name)


def dashboard(server: Server) -> tuple[Feed, Dashboard]:
    sessions = (session(1), replace(session(2, "psql"), database="shop"))
    feed = Feed(snapshot((), sessions), leak_report())
    desk = DatabaseDesk(server.list, lambda: server.counted, server.count)
    return feed, Dashboard(
        feed.read_locks, feed.read_leaks, databases=desk, refresh_s=NEVER, clock=feed.clock
    )


async def test_sessions_of_one_database_and_of_all_again() -> None:
    _, app = dashboard(Server())
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        for closes in ("q", "escape", ""):
            await pilot.press("2", "d")
            await until(pilot, lambda: isinstance(app.screen, DatabasesScreen))
            if closes:
                await pilot.press(closes)
                await settled(pilot)
                assert app.is_running
                assert len(app.screen_stack) == 1
        await settled(pilot)
        assert "leaks counted here" in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        assert app.query_one("#sessions", LiveTable).row_count == 1
        assert "database:shop" in screen_text(app)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, DatabasesScreen))
        await pilot.press("a")
        await settled(pilot)
        assert app.query_one("#sessions", LiveTable).row_count == 2


async def test_leaks_of_another_database_are_counted_from_now_on() -> None:
    server = Server()
    feed, app = dashboard(server)
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        feed.leaks = replace(leak_report(), database="shop", tables_checked=77)
        await pilot.press("3", "d")
        await until(pilot, lambda: isinstance(app.screen, DatabasesScreen))
        await pilot.press("c")
        await until(pilot, lambda: "shop: 0 leaked rows, 77 tables checked" in screen_text(app))
        assert server.asked == ["shop"]
        # A count that was under way in the former database is thrown away.
        feed.leaks = leak_report()
        await pilot.press("r")
        await settled(pilot)
        assert "77 tables checked" in screen_text(app)
        feed.leaks = replace(leak_report(), database="shop", tables_checked=78)
        await pilot.press("r")
        await until(pilot, lambda: "78 tables checked" in screen_text(app))


async def test_a_server_that_does_not_say() -> None:
    server = Server(error=ConnectionLostError("the server went away"))
    _, app = dashboard(server)
    async with app.run_test(size=(100, 24), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("d")
        await until(pilot, lambda: any("the server went away" in one.message for one in app._notifications))


def test_the_database_in_trouble_stands_first() -> None:
    found = snapshot((), (session(1), replace(session(2), database="shop")))
    rows = database_rows(("empty", "shop", "test_app"), "shop", found)
    assert [row.texts[0] for row in rows] == ["shop", "test_app", "empty"]
    assert rows[0].texts[4] == "leaks counted here"


@given(st.text('ab *?[]"\\é-_1', min_size=1, max_size=12).filter(str.strip))
def test_a_filter_fits_the_database_it_was_made_of(name: str) -> None:
    found = RowFilter(of_database(name))
    assert found.fits(("test_a", name))
    assert not found.fits(("test_a", f"x{name}"))
    assert not found.fits(("test_a", ""))


def test_a_database_and_a_text() -> None:
    found = RowFilter("database:shop test_a")
    assert found.fits(("gw0 test_a", "shop"))
    assert not found.fits(("gw0 test_b", "shop"))
    assert not found.fits(("gw0 test_a", "test_app"))


def test_the_databases_of_a_real_server(database: Database) -> None:
    told: list[Settings] = []
    counted = CountedDatabase(Settings(dsn=Dsn(database.dsn, "")), told.append)
    assert counted.name == database.name
    names = asyncio.run(counted.names())
    assert {"postgres", database.name} <= set(names)
    assert "template0" not in names
    counted.switch("postgres")
    assert counted.name == "postgres"
    assert told == [counted.settings]
