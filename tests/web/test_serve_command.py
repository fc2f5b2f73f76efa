"""`pgwatch-tests serve` without a browser: what it says, whom it lets in, how it ends, what it hides."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from tests.cli.running import pgwatch
from tests.record.recordings import make_recording
from tests.servers.sessions import Database
from tests.waiting import PATIENCE_S, wait_until
from tests.web.served import Served, served

SECRET = "hunter2hunter2"
_NONSENSE = (
    *("{", "[]", "7", "\0", '["stdin"]', '["stdin", 7]', '["resize"]', '["nonsense"]'),
    *('["resize", {"width": 1e9}]', '["resize", {"width": true, "height": null}]'),
)


@pytest.fixture
def recording(home: Path) -> Path:
    return make_recording(home / "recording.pgwatch")


@pytest.fixture
def replayed(python: str, home: Path, recording: Path) -> Iterator[Served]:
    """A server without a PostgreSQL behind it."""
    assert python
    with served(home, "--replay", recording.name) as running:
        yield running


def test_it_prints_one_link_and_ends_with_0(replayed: Served) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[A-Za-z0-9_-]{43}/", replayed.link)
    assert replayed.stderr == (
        f"pgwatch-tests: from another machine: ssh -L {replayed.port}:127.0.0.1:{replayed.port} HOST; "
        "Ctrl-C ends it\n"
    )
    assert replayed.stop() == 0
    assert replayed.process.stdout is not None
    assert replayed.process.stdout.read() == ""


def test_what_is_refused_is_told_in_a_line(home: Path, recording: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, words in (
            (
                ["--listen", "0.0.0.0:8080"],
                "open a tunnel with ssh -L 8080:127.0.0.1:8080 HOST",
            ),
            (["--listen", "x"], "--listen takes HOST:PORT"),
            (["--listen", str(port)], f"port {port} of 127.0.0.1 is in use: --listen 127.0.0.1:0"),
            (["-d", f"mysql://u:{SECRET}@h/d"], "postgresql:// URL is needed"),
            (["--replay", "none"], "does not exist"),
            (["--replay", "pyproject.toml"], "isn't a recording"),
            (["--replay", recording.name, "--allow-actions"], "leave out --dsn, --refresh, --allow-actions"),
        ):
            done = pgwatch(home, "serve", *arguments, extra={"PGWATCH_SERVE_TOKEN": ""})
            assert (done.returncode, done.stdout) == (2, ""), arguments
            assert words in done.stderr
            assert SECRET not in done.stderr
    done = pgwatch(home, "serve", extra={"PGWATCH_SERVE_TOKEN": SECRET})
    assert (done.returncode, SECRET in done.stderr) == (2, False)
    assert "PGWATCH_SERVE_TOKEN must be" in done.stderr


def test_without_its_extra_it_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("pgwatch_tests.web")]:
        monkeypatch.delitem(sys.modules, name)
    for package in ("aiohttp", "textual_serve"):
        monkeypatch.setitem(sys.modules, package, None)
        done = pgwatch(home, "serve")
        assert (done.returncode, done.stdout) == (2, "")
        assert (
            done.stderr == "pgwatch-tests: serve needs the extra serve: pip install 'pgwatch-tests[serve]'\n"
        )


def test_nobody_is_let_in_without_the_link(replayed: Served) -> None:
    token = urlsplit(replayed.link).path.strip("/")
    names = ("", "alive", "page.js", "textual.js", "websocket?width=80&height=24", "download/1", "nothing")
    for path in (
        "/",
        "/favicon.ico",
        *(f"/{'x' * 43}/{name}" for name in names),
        f"/{token[:-1]}/",
        f"/?{token}",
    ):
        answer = replayed.get(path)
        assert (answer.status, answer.text) == (403, "Open the link that pgwatch-tests serve printed.\n"), (
            path
        )
    for name in names:
        for host in ("evil.example", f"evil.example:{replayed.port}", "127.0.0.1.evil.example", ""):
            assert replayed.get(name, Host=host).status == 403
    own = f"http://127.0.0.1:{replayed.port}"
    for origin in (f"{own}0", f"http://localhost:{replayed.port}", "http://evil.example", "null", ""):
        assert replayed.connect(Origin=origin).status == 403
    assert replayed.get("", method="POST").status == 405
    assert replayed.get("../page.py").status == replayed.get("page.js/../pages.py").status == 404
    assert replayed.dashboards() == []
    # And with it, they are.
    assert replayed.connect().status == 101
    assert replayed.get("alive").status == 204
    cut = replayed.get(f"/{token}")
    assert (cut.status, cut.headers["Location"]) == (308, f"/{token}/")
    assert replayed.get("", Host=f"localhost:{replayed.port}").status == 200


def test_pages_may_ask_nobody_else_and_be_framed_by_nobody(replayed: Served) -> None:
    for name in ("", "page.js", "page.css", "textual.js", "xterm.css", "RobotoMono-VariableFont_wght.ttf"):
        answer = replayed.get(name)
        assert answer.status == 200
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "http://" not in policy + answer.headers["Server"]
    assert "http" not in replayed.get().text


def own_origin(running: Served) -> dict[str, str]:
    return {"Origin": f"http://127.0.0.1:{running.port}"}


async def connected(running: Served, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    """A websocket, once its dashboard draws."""
    headers = own_origin(running)
    tab = await session.ws_connect(f"{running.link}websocket?width=100&height=30", headers=headers)
    async for message in tab:
        if message.type is aiohttp.WSMsgType.BINARY:
            break
    return tab


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_all_dashboards(replayed: Served, number: signal.Signals) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            await connected(replayed, session)
        dashboards = replayed.dashboards()
        assert len(dashboards) == 2
        assert await asyncio.to_thread(replayed.stop, number) == 0
        assert not any(one.is_running() for one in dashboards)


async def test_even_a_kill_does(replayed: Served) -> None:
    async with aiohttp.ClientSession() as session:
        await connected(replayed, session)
        dashboards = replayed.dashboards()
        replayed.process.kill()
        await asyncio.to_thread(psutil.wait_procs, dashboards, PATIENCE_S)
        assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in dashboards)


async def test_a_dashboard_that_hangs_is_ended_and_nobody_comes_back_to_it(replayed: Served) -> None:
    async with aiohttp.ClientSession() as session:
        tab = await connected(replayed, session)
        async with session.get(f"{replayed.link}alive") as answer:
            assert answer.status == 204
        (dashboard,) = replayed.dashboards()
        dashboard.suspend()
        replayed.process.terminate()
        async for _ in tab:
            pass
        assert tab.close_code == aiohttp.WSCloseCode.GOING_AWAY
        # Over the connection that is still there from the request above.
        async with session.get(f"{replayed.link}alive") as answer:
            assert answer.status == 503
        assert await asyncio.to_thread(replayed.process.wait, PATIENCE_S) == 0
        assert not dashboard.is_running()


async def test_a_second_connection_takes_a_dashboard_over(replayed: Served) -> None:
    async with aiohttp.ClientSession() as session:
        first = await session.ws_connect(
            f"{replayed.link}websocket?width=100&height=30", headers=own_origin(replayed)
        )
        kind, named = await first.receive_json()
        assert (kind, named["resumed"]) == ("session", False)
        second = await session.ws_connect(
            f"{replayed.link}websocket?width=60&height=20&session={named['id']}", headers=own_origin(replayed)
        )
        assert await second.receive_json() == ["session", {"id": named["id"], "resumed": True}]
        drawn = b""
        async for message in second:
            drawn += message.data
            if b"test_books" in drawn:
                break
        async for _ in first:
            pass
        assert len(replayed.dashboards()) == 1
        await second.close()
    wait_until(lambda: not replayed.dashboards())


async def test_nonsense_ends_one_connection_at_most(replayed: Served) -> None:
    async with aiohttp.ClientSession() as session:
        other = await connected(replayed, session)
        for text in _NONSENSE:
            tab = await connected(replayed, session)
            with suppress(ConnectionError):  # it may be closed by then
                await tab.send_str(text)
                await tab.send_str('["ping"]')
            async for message in tab:
                if message.data == '["pong", null]':
                    break
            await tab.close()
        await other.send_json(["resize", {"width": 10**12, "height": -1}])
        await other.send_json(["ping"])
        async for message in other:
            if message.data == '["pong", null]':
                break
        assert not other.closed
        await other.close()
        for line in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/9\r\n\r\n", b"\0" * 99):
            with socket_to(replayed) as raw:
                raw.sendall(line)
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(4096):
                    pass
    wait_until(lambda: not replayed.dashboards())
    assert replayed.stderr.count("\n") == 1


def socket_to(running: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE_S)


async def test_passwords_are_seen_nowhere(database: Database, home: Path) -> None:
    dsn = f"{database.dsn}&password={SECRET}"
    with served(home, "--allow-actions", extra={"PGWATCH_DSN": dsn}) as running:
        async with aiohttp.ClientSession() as session:
            tab = await connected(running, session)
            (dashboard,) = running.dashboards()
            arguments = [*dashboard.cmdline(), *psutil.Process(running.process.pid).cmdline()]
            drawn = b""
            async for message in tab:
                drawn += message.data if isinstance(message.data, bytes) else b""
                if b"Nothing" in drawn:
                    break
        seen = [running.link, running.stderr, running.get().text, *arguments, drawn.decode()]
        assert database.name in running.get().text
        assert SECRET not in json.dumps(seen)


async def test_what_a_dashboard_is_told(database: Database, home: Path) -> None:
    (home / "tests.txt").write_text("t.py::test_one\n")
    told = ("-d", database.dsn, "--refresh", "2", "--tests", "tests.txt")
    with served(home, *told, extra={"PGWATCH_DSN": "postgresql://127.0.0.1:1/x"}) as running:
        async with aiohttp.ClientSession() as session:
            await connected(running, session)
            (dashboard,) = running.dashboards()
            # A connection string is no argument: all accounts could read it.
            arguments = dashboard.cmdline()
            assert arguments[arguments.index("dashboard") :] == [
                *("dashboard", "--read-only", "--refresh=2.0", "--tests=tests.txt")
            ]
            assert dashboard.environ()["PGWATCH_DSN"] == database.dsn
