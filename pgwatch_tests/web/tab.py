"""A browser's tab: the websocket that its page has opened."""

from __future__ import annotations

import asyncio
import json

from aiohttp import ClientConnectionError, WSCloseCode, web

_CLOSED_BY_ITS_USER = (WSCloseCode.OK, WSCloseCode.GOING_AWAY, 1005)  # 1005: without a code


class Tab:
    """One connection. `sent_within_s` is how long it may take to send something before it counts as lost."""

    def __init__(
        self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, sent_within_s: float = 5.0
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._sent_within_s = sent_within_s

    @property
    def is_closed_by_its_user(self) -> bool:
        """Whether the page was left, rather than its connection lost."""
        return self._socket.close_code in _CLOSED_BY_ITS_USER

    async def say(self, kind: str, value: object) -> None:
        """Sends a message for the page itself."""
        await self.show(json.dumps([kind, value]))

    async def show(self, what: str | bytes) -> None:
        """Sends what the terminal gets, or the text of a message. A connection that takes neither is lost."""
        try:
            async with asyncio.timeout(self._sent_within_s):
                if isinstance(what, str):
                    await self._socket.send_str(what)
                else:
                    await self._socket.send_bytes(what)
        except (TimeoutError, ClientConnectionError, ConnectionError):
            # Not closed: that would wait until what was sent before has arrived.
            if self._transport is not None:
                self._transport.abort()

    async def close(self, code: WSCloseCode = WSCloseCode.OK) -> None:
        """Says goodbye."""
        await self._socket.close(code=code)
