"""The open dashboards: each has a program, and a tab while that is connected.

A dashboard whose connection is lost lives on for a while, for its tab to come back to; one whose tab is
closed ends at once.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from aiohttp import WSCloseCode
from textual_serve._binary_encode import load as load_encoded  # reads what `textual._binary_encode` writes

from pgwatch_tests.web.program import Program, RunningProgram, Size
from pgwatch_tests.web.tab import Tab

_REDRAWN_WITHIN_S = 0.5
_CHUNK_WITHIN_S = 10.0
_CHUNK = 1 << 16  # bytes


@dataclass(frozen=True, slots=True)
class Download:
    """A file that a program gives to its tab, in chunks that are asked for one by one."""

    key: str
    file_name: str
    name: str | None
    """What the program calls it; handed back with each request."""
    chunks: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)


class Session:
    """One dashboard. `keep_s` is how long it waits for a tab whose connection was lost."""

    def __init__(self, program: RunningProgram, size: Size, keep_s: float) -> None:
        self.id = secrets.token_urlsafe()
        self.downloads: dict[str, Download] = {}
        self._program = program
        self._size = size
        self._keep_s = keep_s
        self._tab: Tab | None = None
        self._closing: asyncio.Task[None] | None = None
        self._drawn = asyncio.Event()
        self._abandoned: asyncio.TimerHandle | None = None
        self._end: asyncio.Task[tuple[int, str]] | None = None
        self._is_left = False
        self.over = asyncio.create_task(self._run())
        """Ends with the program: its exit code, 0 if it was asked to end, and the last line of its stderr."""

    async def attach(self, tab: Tab, size: Size, *, resumed: bool) -> None:
        """Makes `tab` the one that the program is seen in; the one before is closed."""
        if self._abandoned is not None:
            self._abandoned.cancel()
            self._abandoned = None
        before, self._tab = self._tab, None
        if before is not None:
            # If its connection is lost, nobody has noticed yet: this one doesn't wait for that.
            self._closing = asyncio.create_task(before.close(WSCloseCode.POLICY_VIOLATION))
        await tab.say("session", {"id": self.id, "resumed": resumed})
        self._tab = tab
        if self.over.done():  # just now
            await self._say_goodbye(*self.over.result())
        elif resumed:
            await self._redraw(size)

    def detach(self, tab: Tab) -> None:
        """Ends the session of a tab that was closed; that of a lost connection ends later, if none comes."""
        if self._tab is not tab:
            return
        self._tab = None
        if tab.is_closed_by_its_user:
            self.end()
        elif self._end is None:
            self._abandoned = asyncio.get_running_loop().call_later(self._keep_s, self.end)

    async def leave(self) -> None:
        """Ends it for good, while its tab waits for the server to return."""
        self._is_left = True
        self.end()
        await self._say_goodbye(0, "")

    def end(self) -> None:
        """Has the program end; `over` tells when it has."""
        if self._end is None:
            self._end = asyncio.create_task(self._program.end())

    async def take(self, kind: str, value: object) -> None:
        """Hands a message of the tab on to the program; what isn't known is left out."""
        match kind, value:
            case "stdin", str():
                await self._program.type(value)
            case "resize", {"width": int() as width, "height": int() as height}:
                self._size = size_within_reason(width, height)
                await self._program.resize(self._size)
            case "focus" | "blur", _:
                await self._program.tell(type=kind)
            case _:
                pass

    async def chunks(self, download: Download) -> AsyncIterator[bytes]:
        """Yields the content of a download, which is gone then."""
        try:
            while True:
                await self._program.tell(
                    type="deliver_chunk_request", key=download.key, size=_CHUNK, name=download.name
                )
                try:
                    chunk = await asyncio.wait_for(download.chunks.get(), _CHUNK_WITHIN_S)
                except TimeoutError:
                    return
                if not chunk:
                    return
                yield chunk
        finally:
            self.downloads.pop(download.key, None)

    async def _redraw(self, size: Size) -> None:
        # Textual draws all of a screen only where its size is another.
        self._drawn.clear()
        await self._program.resize(Size(size.width, size.height - 1))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._drawn.wait(), _REDRAWN_WITHIN_S)
        self._size = size
        await self._program.resize(size)

    async def _run(self) -> tuple[int, str]:
        async for letter, payload in self._program.packets():
            if letter == b"D":
                self._drawn.set()
                if self._tab is not None:  # else it is lost: a tab that comes back has all drawn again
                    await self._tab.show(payload)
            elif letter == b"M":
                await self._take_message(json.loads(payload))
            elif letter == b"P":
                self._take_chunk(payload)
        was_asked = self._end is not None
        self.end()
        assert self._end is not None
        code, error = await self._end
        if was_asked:
            code, error = 0, ""  # one that had to be forced is no failure
        await self._say_goodbye(code, error)
        if self._abandoned is not None:
            self._abandoned.cancel()
        return code, error

    async def _say_goodbye(self, code: int, error: str) -> None:
        tab, self._tab = self._tab, None
        if tab is not None and self._is_left:
            await tab.close(WSCloseCode.GOING_AWAY)
        elif tab is not None:
            await tab.say("ended", {"code": code, "error": error})
            await tab.close()

    async def _take_message(self, message: dict[str, object]) -> None:
        if message.get("type") == "deliver_file_start":
            name = message.get("name")
            file_name = str(message.get("path", "")).rpartition("/")[2]
            download = Download(str(message["key"]), file_name, None if name is None else str(name))
            self.downloads[download.key] = download
            if self._tab is not None:
                await self._tab.say("download", {"key": download.key, "file_name": file_name})

    def _take_chunk(self, payload: bytes) -> None:
        match load_encoded(payload):
            case ("deliver_chunk", str() as key, (str() | bytes()) as chunk):
                if (download := self.downloads.get(key)) is not None:
                    content = chunk.encode("utf-8", "replace") if isinstance(chunk, str) else chunk
                    download.chunks.put_nowait(content)
            case _:
                pass


class Sessions:
    """All dashboards of a server, `most` at the most; `tell` gets a line for each that failed."""

    def __init__(self, program: Program, most: int, keep_s: float, tell: Callable[[str], None]) -> None:
        self.most = most
        self._program = program
        self._keep_s = keep_s
        self._tell = tell
        self._open: dict[str, Session] = {}
        self._one_at_a_time = asyncio.Lock()
        self._closed = False

    @property
    def are_closed(self) -> bool:
        """Whether no more dashboards are started."""
        return self._closed

    def find(self, id: str) -> Session | None:
        """The session of that id that is still there."""
        return self._open.get(id)

    def find_download(self, key: str) -> tuple[Session, Download] | None:
        """The download of that key, and whose it is."""
        for session in self._open.values():
            if (download := session.downloads.get(key)) is not None:
                return session, download
        return None

    async def start(self, size: Size) -> Session | None:
        """Starts one more dashboard; None if there are enough. Raises OSError."""
        async with self._one_at_a_time:
            if self._closed or len(self._open) >= self.most:
                return None
            session = Session(await self._program.start(size), size, self._keep_s)
            self._open[session.id] = session
        session.over.add_done_callback(partial(self._forget, session.id))
        return session

    def _forget(self, id: str, over: asyncio.Task[tuple[int, str]]) -> None:
        del self._open[id]
        if over.cancelled():
            return
        if (failure := over.exception()) is not None:
            raise failure
        code, error = over.result()
        if code and not self._closed:
            self._tell(f"a dashboard ended with exit code {code}" + (f": {error}" if error else ""))

    async def close(self) -> None:
        """Ends all, and returns once no program runs."""
        async with self._one_at_a_time:
            self._closed = True
        sessions = list(self._open.values())
        await asyncio.gather(*(session.leave() for session in sessions), return_exceptions=True)
        await asyncio.gather(*(session.over for session in sessions), return_exceptions=True)


def size_within_reason(width: int, height: int) -> Size:
    """The size that a tab asks for, as far as a terminal may have it."""
    return Size(min(max(width, 20), 1000), min(max(height, 5), 500))
