"""A tab that takes nothing any more."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web

from pgwatch_tests.web.tab import Tab
from tests.waiting import PATIENCE_S


async def test_a_tab_that_takes_nothing_is_lost_and_holds_nobody_up() -> None:
    ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        tab = Tab(socket, request.transport, sent_within_s=0.05)
        while not socket.closed:
            await tab.show(bytes(1 << 20))
            if request.transport is None or request.transport.is_closing():
                break
        async for _ in socket:
            pass
        assert not tab.is_closed_by_its_user
        ended.set_result(socket.close_code)
        return socket

    runner = web.ServerRunner(web.Server(flood))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        (address,) = runner.addresses
        async with aiohttp.ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{address[1]}"):
            # Its client reads no more than it has to hold.
            assert await asyncio.wait_for(ended, PATIENCE_S) == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
    finally:
        await runner.cleanup()
