"""The web server: who comes through its one door gets the page, its files, a websocket or a download."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from socket import socket
from urllib.parse import quote

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.http_exceptions import HttpProcessingError

from pgwatch_tests.web.admission import is_own_name, is_own_page, within
from pgwatch_tests.web.listen_address import ListenAddress, of_socket
from pgwatch_tests.web.pages import page, static_files
from pgwatch_tests.web.program import Program
from pgwatch_tests.web.sessions import Sessions, size_within_reason
from pgwatch_tests.web.tab import Tab

_LOST_AFTER_S = 15.0
"""The interval of the pings that show whether a browser is still there."""
_CLOSED_WITHIN_S = 1.0
"""How long a browser has to answer a goodbye."""
_KEPT_FOR_S = 300.0
"""How long a dashboard waits for the tab whose connection was lost."""
_LONGEST_MESSAGE = 1 << 18  # bytes: what somebody pastes
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address has the token in it
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
    "Server": "pgwatch-tests",
}
_KINDS = {".css": "text/css", ".js": "text/javascript", ".ttf": "font/ttf"}
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ENDS_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server shows, to whom: `program` in a page called `title`, to holders of `token`."""

    program: Program
    title: str
    token: str
    most_tabs: int


def serve(
    offer: Offer, address: ListenAddress, ready: Callable[[str], None], tell: Callable[[str], None]
) -> None:
    """Serves until SIGINT, SIGTERM or SIGHUP; all programs have ended then.

    `ready` gets the link once it can be opened, `tell` each line about what failed. Raises
    ConfigurationError if the address can't be listened on.
    """
    with address.bind() as bound:
        asyncio.run(_serve(offer, bound, ready, tell))


async def _serve(
    offer: Offer, bound: socket, ready: Callable[[str], None], tell: Callable[[str], None]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _ENDING:
        loop.add_signal_handler(number, stop.set)
    sessions = Sessions(offer.program, offer.most_tabs, _KEPT_FOR_S, tell)
    door = Door(offer, sessions)
    log = logging.Logger(__name__)
    log.addHandler(_OneLine(tell))
    server = web.Server(door.answer, access_log=None, logger=log)
    runner = web.ServerRunner(server, shutdown_timeout=_ENDS_WITHIN_S)
    try:
        await runner.setup()
        site = web.SockSite(runner, bound)
        await site.start()
        ready(f"{of_socket(bound).origin}/{offer.token}/")
        await stop.wait()
        await site.stop()
    finally:
        await sessions.close()
        await runner.cleanup()
        for number in _ENDING:
            loop.remove_signal_handler(number)


class Door:
    """Answers all requests: there is no other way in."""

    def __init__(self, offer: Offer, sessions: Sessions) -> None:
        self._offer = offer
        self._sessions = sessions
        self._files = static_files()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Returns the response to a request, whoever makes it."""
        host = request.headers.get("Host", "")
        if not is_own_name(host):
            return _refusal(HTTPStatus.FORBIDDEN, "This server has no such name.")
        name = within(request.rel_url.raw_path, self._offer.token)
        if name is None:
            return _refusal(HTTPStatus.FORBIDDEN, "Open the link that pgwatch-tests serve printed.")
        if self._sessions.are_closed:
            # A page whose connection has just ended would come back to what ends.
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "This server is ending.")
        if request.method not in ("GET", "HEAD"):
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "There is nothing to send here.")
        if request.rel_url.raw_path == f"/{self._offer.token}":
            # Whoever copies a link may miss its end; what the page loads is below it.
            found = {**_HEADERS, "Location": f"/{self._offer.token}/"}
            return web.Response(status=HTTPStatus.PERMANENT_REDIRECT, headers=found)
        if name == "":
            return web.Response(text=page(self._offer.title), content_type="text/html", headers=_HEADERS)
        if name == "alive":
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=_HEADERS)
        if name == "websocket":
            if not is_own_page(request.headers.get("Origin"), host):
                return _refusal(HTTPStatus.FORBIDDEN, "Only this server's own page may connect.")
            return await self._connect(request)
        if name.startswith("download/"):
            return await self._download(request, name.removeprefix("download/"))
        if (path := self._files.get(name)) is not None:
            kind = {"Content-Type": _KINDS[path.suffix]}
            return web.FileResponse(path, headers={**_HEADERS, **kind})
        return _refusal(HTTPStatus.NOT_FOUND, "There is nothing here.")

    async def _connect(self, request: web.BaseRequest) -> web.StreamResponse:
        """A tab: a dashboard of its own, or the one that it had before its connection was lost."""
        socket = web.WebSocketResponse(
            timeout=_CLOSED_WITHIN_S, heartbeat=_LOST_AFTER_S, max_msg_size=_LONGEST_MESSAGE
        )
        try:
            size = size_within_reason(int(request.query["width"]), int(request.query["height"]))
        except (KeyError, ValueError):
            return _refusal(HTTPStatus.BAD_REQUEST, "A terminal has a width and a height.")
        await socket.prepare(request)
        tab = Tab(socket, request.transport)
        known = self._sessions.find(request.query.get("session", ""))
        session = known or await self._sessions.start(size)
        if session is None and self._sessions.are_closed:
            await tab.close(WSCloseCode.GOING_AWAY)
            return socket
        if session is None:
            await tab.say("full", self._sessions.most)
            await tab.close()
            return socket
        try:
            await session.attach(tab, size, resumed=known is not None)
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                match json.loads(message.data):
                    case ["ping", *_]:
                        await tab.say("pong", None)
                    case [str() as kind, *values]:
                        await session.take(kind, values[0] if values else None)
        except ValueError:  # it isn't our page that speaks so
            session.end()
            await tab.close(WSCloseCode.INVALID_TEXT)
        finally:
            session.detach(tab)
        return socket

    async def _download(self, request: web.BaseRequest, key: str) -> web.StreamResponse:
        found = self._sessions.find_download(key)
        if found is None or request.method != "GET":
            return _refusal(HTTPStatus.NOT_FOUND, "This download is over, or its dashboard was left.")
        session, download = found
        named = f"attachment; filename*=UTF-8''{quote(download.file_name, safe='')}"
        kind = {"Content-Type": "application/octet-stream", "Content-Disposition": named}
        response = web.StreamResponse(headers={**_HEADERS, **kind})
        await response.prepare(request)
        async for chunk in session.chunks(download):
            await response.write(chunk)
        await response.write_eof()
        return response


class _OneLine(logging.Handler):
    """Tells of requests that failed by our fault; of those that aren't HTTP, nobody has to know."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            self._tell(f"{record.getMessage()}: {type(error).__name__}")


def _refusal(status: HTTPStatus, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers=_HEADERS)
