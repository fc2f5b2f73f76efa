"""The dashboard in a real browser: keys, sizes, lost connections, several tabs, recordings, exports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chromium import Browser, browser, needs_chromium
from tests.record.recordings import make_recording
from tests.servers.sessions import Connect, Database, blocked
from tests.waiting import wait_until
from tests.web.served import Served, served, wire
from tests.web.tab import Tab

pytestmark = needs_chromium
TOKEN = "a-link-that-stays-from-start-to-start"


@pytest.fixture
def tab(python: str, tmp_path: Path) -> Iterator[Tab]:
    assert python  # a process is started
    with browser(tmp_path) as opened:
        opened.size(1280, 800)
        yield Tab(opened)


@pytest.fixture
def waiting(connect: Connect) -> tuple[int, int]:
    """A lock wait: pids of the holder and of the waiter."""
    holder, waiter = connect("pytest:gw0 t.py::test_holder"), connect("pytest:gw1 t.py::test_waiter")
    holder.execute("SELECT pg_advisory_lock(4711)")
    blocked(waiter, "SELECT pg_advisory_lock(4711)")
    return holder.info.backend_pid, waiter.info.backend_pid


@pytest.fixture
def live(database: Database, home: Path) -> Iterator[Served]:
    with served(home, extra={"PGWATCH_DSN": database.dsn}) as running:
        yield running


def requests(browser: Browser) -> set[str]:
    """All addresses that the page asked for."""
    sent = [what for name, what in browser.events if name == "Network.requestWillBeSent"]
    opened = [what for name, what in browser.events if name == "Network.webSocketCreated"]
    addresses = [str(what["request"]["url"]) for what in sent if isinstance(what["request"], dict)]
    return {*addresses, *(str(what["url"]) for what in opened)}


def test_the_tree_its_keys_and_sizes(live: Served, tab: Tab, waiting: tuple[int, int]) -> None:
    holder, waiter = waiting
    tab.open(live.link)
    screen = tab.shows(str(holder), str(waiter), "test_holder", "advisory lock 4711")
    assert "Traceback" not in screen
    assert tab.browser.evaluate("document.title") != ""
    # It is ready for keys without a click, and reads the window's size.
    tab.browser.press("2")
    tab.shows("Sessions", "State", "Query")
    tab.browser.press("?")
    tab.shows("escape closes")
    tab.browser.press("Escape", 27)
    tab.until(lambda screen: "escape closes" not in screen)
    wide, high = tab.size
    tab.browser.size(800, 500)
    wait_until(lambda: tab.size[0] < wide)
    cell = 1280 // wide
    assert tab.size == (800 // cell, 500 // (800 // high))
    tab.until(lambda screen: "q Quit" in screen.split("\n")[-1])
    # All that it loads is ours.
    own = re.compile(rf"(http|ws)://127\.0\.0\.1:{live.port}/|data:,")
    assert [one for one in requests(tab.browser) if not own.match(one)] == []
    problems = ("Runtime.exceptionThrown", "Network.loadingFailed")
    assert [what for name, what in tab.browser.events if name in problems] == []


def test_it_only_looks_unless_it_is_told_to_act(
    database: Database, home: Path, tab: Tab, waiting: tuple[int, int]
) -> None:
    holder, _ = waiting
    extra = {"PGWATCH_DSN": database.dsn}
    for arguments, acts in (((), False), (("--allow-actions",), True)):
        with served(home, *arguments, extra=extra) as running:
            tab.open(running.link)
            tab.shows(str(holder))
            assert ("read-only" in str(tab.browser.evaluate("document.title"))) is not acts
            assert ("read-only" in running.stderr) is not acts
            tab.browser.press("K")
            tab.browser.press("?")  # has its effect after that of K
            screen = tab.until(lambda screen: "escape closes" in screen or "End the session" in screen)
            assert ("escape closes" in screen) is not acts, screen


def test_a_lost_connection_comes_back_to_the_same_dashboard(
    live: Served, tab: Tab, waiting: tuple[int, int]
) -> None:
    holder, waiter = waiting
    with wire(live.port) as tunnel:
        tab.open(live.link.replace(str(live.port), str(tunnel.port)))
        tab.shows(str(holder))
        tab.browser.press("2")
        parts = ("connections", "━━━━", "pid", "State", "q Quit", str(holder), str(waiter))
        tab.shows(*parts)
        (before,) = live.dashboards()
        tunnel.cut()
        tab.says("The connection is lost. Trying again")
        tab.browser.press("3")  # nobody sees its effect, so it has none
        tab.browser.evaluate("window.terminalOfTest.clear()")
        tunnel.mend()
        tab.shows(*parts)
        assert live.dashboards() == [before]
        tab.browser.press("1")
        tab.shows("Blocks", str(holder))


def test_a_connection_that_falls_silent_is_lost(live: Served, tab: Tab) -> None:
    with wire(live.port) as tunnel:
        tab.open(live.link.replace(str(live.port), str(tunnel.port)))
        tab.shows("Nothing is blocked")
        tunnel.freeze()
        for minutes in (1, 2):  # it asks, and then has had no answer for long
            tab.browser.evaluate(f"Date.now = () => performance.now() + {minutes * 60_000}")
            tab.browser.evaluate("window.dispatchEvent(new Event('online'))")
        tab.says("The connection is lost.")
        (before,) = live.dashboards()
        tunnel.thaw()
        tab.shows("Nothing is blocked")
        assert live.dashboards() == [before]


def test_a_server_that_is_started_again(database: Database, home: Path, tab: Tab) -> None:
    extra = {"PGWATCH_DSN": database.dsn, "PGWATCH_SERVE_TOKEN": TOKEN}
    with served(home, extra=extra) as first:
        assert first.link == f"http://127.0.0.1:{first.port}/{TOKEN}/"
        tab.open(first.link)
        tab.shows("Nothing is blocked")
        (dashboard,) = first.dashboards()
        environ = dashboard.environ()
        assert "PGWATCH_SERVE_TOKEN" not in environ
        assert first.stop() == 0
        tab.says("Waiting for it")
    with served(home, listen=f"127.0.0.1:{first.port}", extra=extra) as second:
        tab.shows("Nothing is blocked")
        tab.browser.press("2")
        tab.shows("No other sessions.")
        assert second.stop() == 0
    del extra["PGWATCH_SERVE_TOKEN"]
    with served(home, listen=f"127.0.0.1:{first.port}", extra=extra):
        tab.says("This link is no longer valid")


def test_a_dashboard_that_is_left_can_be_opened_again(live: Served, tab: Tab) -> None:
    tab.open(live.link)
    tab.shows("Nothing is blocked")
    tab.browser.press("q")
    tab.says("The dashboard was left.")
    wait_until(lambda: not live.dashboards())
    tab.browser.press("Enter", 13)
    tab.shows("Nothing is blocked")
    # A tab that is closed takes its process along.
    tab.browser.visit("about:blank")
    wait_until(lambda: not live.dashboards())
    assert live.stderr.count("\n") == 2


def test_one_tab_more_than_there_may_be(database: Database, home: Path, tab: Tab, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with (
        served(home, "--tabs=1", extra={"PGWATCH_DSN": database.dsn}) as running,
        browser(tmp_path / "other") as second,
    ):
        tab.open(running.link)
        tab.shows("Nothing is blocked")
        other = Tab(second)
        other.open(running.link)
        other.says("1 dashboard is open here, the most that there may be")
        assert len(running.dashboards()) == 1
        tab.browser.visit("about:blank")
        other.shows("Nothing is blocked")


def test_a_dashboard_that_fails_says_why(database: Database, home: Path, tab: Tab) -> None:
    with served(home, extra={"PGWATCH_DSN": database.dsn}) as running:
        (home / "pyproject.toml").write_text("[tool.pgwatch-tests]\nrefresh = -1\n")
        tab.open(running.link)
        tab.says("The dashboard ended with exit code 2. pgwatch-tests: refresh in ")
        told = "pgwatch-tests: a dashboard ended with exit code 2: pgwatch-tests: refresh"
        wait_until(lambda: told in running.stderr)


def test_a_recording(home: Path, tab: Tab) -> None:
    make_recording(home / "a recording; of 'mine'.pgwatch")
    with served(home, "--replay", "a recording; of 'mine'.pgwatch") as running:
        tab.open(running.link)
        tab.shows("test_books", "test_cancels", "row of bookings (id=42)")
        assert tab.browser.evaluate("document.title") == "a recording; of 'mine'.pgwatch · pgwatch-tests"


def test_an_export_and_a_copy_reach_the_browser(
    live: Served, tab: Tab, waiting: tuple[int, int], tmp_path: Path
) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    tab.browser.keep_downloads(folder)
    tab.open(live.link)
    tab.shows(str(waiting[0]))
    tab.browser.press("e")
    [written] = wait_until(lambda: [*folder.glob("pgwatch-tests-locks-*.json")])
    document = json.loads(wait_until(written.read_text))
    assert document["schema"] == "pgwatch-tests.locks/1"
    tab.browser.press("y")
    copied = wait_until(lambda: tab.browser.evaluate("navigator.clipboard.readText()"))
    assert str(copied).startswith("SELECT pg_")
    # Neither is for who hasn't the link, and a download is there once.
    begun = [what for name, what in tab.browser.events if name == "Page.downloadWillBegin"]
    key = str(begun[0]["url"]).rpartition("/")[2]
    assert live.get(f"/download/{key}").status == 403
    assert live.get(f"download/{key}").status == 404


def test_a_phone(live: Served, tab: Tab, waiting: tuple[int, int]) -> None:
    tab.browser.size(390, 844, phone=True)
    tab.open(live.link)
    tab.shows(str(waiting[0]))
    columns, _ = tab.size
    assert columns >= 70
    assert tab.browser.evaluate("document.documentElement.scrollWidth") == 390
    # Turned, it has room for larger letters.
    tab.turn(844, 390)
    tab.shows(str(waiting[0]))
    assert 80 <= tab.size[0] <= 95
    tab.turn(390, 844)
    tab.shows(str(waiting[0]))
    assert tab.size[0] == columns
    tab.open(f"{live.link}?fontsize=16")
    tab.shows(str(waiting[0]))
    assert tab.size[0] < columns
