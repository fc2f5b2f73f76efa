"""How long a dashboard waits for a tab whose connection was lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web

from pgwatch_tests.web.program import Program
from pgwatch_tests.web.server import Door, Offer
from pgwatch_tests.web.sessions import Sessions
from tests.record.recordings import make_recording
from tests.waiting import PATIENCE_S, wait_until

TOKEN = "x" * 43
_MOST_TRIES = 1_000


@pytest.fixture
def program(python: str, tmp_path: Path) -> Program:
    recording = make_recording(tmp_path / "recording.pgwatch")
    return Program([python, "-P", "-m", "pgwatch_tests", "replay", str(recording)], os.environ)


@asynccontextmanager
async def origin(program: Program, keep_s: float, told: list[str]) -> AsyncIterator[str]:
    """Where a server in this process is."""
    sessions = Sessions(program, 2, keep_s, told.append)
    runner = web.ServerRunner(web.Server(Door(Offer(program, "", TOKEN, 2), sessions).answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await sessions.close()
        await runner.cleanup()


async def connected(
    place: str, session: aiohttp.ClientSession, id: str = ""
) -> tuple[aiohttp.ClientWebSocketResponse, str, bool]:
    """A websocket, the id of its dashboard, and whether it is an old one."""
    asked = f"{place}/{TOKEN}/websocket?width=80&height=24&session={id}"
    tab = await session.ws_connect(asked, headers={"Origin": place})
    _, said = await tab.receive_json()
    return tab, said["id"], said["resumed"]


async def lose(session: aiohttp.ClientSession) -> None:
    """Closes connections without a goodbye."""
    assert session.connector is not None
    await session.connector.close()


async def gone(process: psutil.Process) -> None:
    """Returns once a child of ours is gone: to wait for it would take its exit code from the server."""
    await asyncio.to_thread(wait_until, lambda: not process.is_running())


def dashboards() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "replay" in one.cmdline()]


async def test_it_ends_if_none_comes_back(program: Program) -> None:
    told: list[str] = []
    async with origin(program, 0.1, told) as place:
        async with aiohttp.ClientSession() as session:
            await connected(place, session)
            (dashboard,) = dashboards()
            dashboard.suspend()  # it has to be forced, which is no failure of its own
            await lose(session)
        await gone(dashboard)
    assert told == []


async def test_it_waits_for_one_that_does(program: Program) -> None:
    async with origin(program, PATIENCE_S, []) as place:
        async with aiohttp.ClientSession() as session:
            _, first, resumed = await connected(place, session)
            assert not resumed
            (dashboard,) = dashboards()
            await lose(session)
        async with aiohttp.ClientSession() as session:
            tab, second, resumed = await connected(place, session, first)
            assert (second, resumed) == (first, True)
            assert dashboards() == [dashboard]
            await tab.close()
            await gone(dashboard)
            # What has ended isn't found again, once the server has heard of it.
            for _ in range(_MOST_TRIES):
                _, third, resumed = await connected(place, session, first)
                if third != first:
                    break
            assert third != first
            assert not resumed


async def test_a_program_that_cannot_be_started_ends_no_server(python: str) -> None:
    told: list[str] = []
    async with (
        origin(Program([python, "-c", "raise SystemExit('no \\x1b[1m')"], {}), 1.0, told) as place,
        aiohttp.ClientSession() as session,
    ):
        tab, _, _ = await connected(place, session)
        assert await tab.receive_json() == ["ended", {"code": 1, "error": "no \x1b[1m"}]
    assert told == ["a dashboard ended with exit code 1: no \x1b[1m"]
