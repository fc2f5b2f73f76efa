"""Middleware for servers under test, ASGI and WSGI: what a request does is put down to the test that sent it.

Requests without the header of this run pass untouched, and so do all where no run is on. In a process of its
own, a server names its sessions from the first such request on, and logs its commits for the run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any

from pgwatch_tests.testing.current_test import Owner, acting_for
from pgwatch_tests.testing.http.header import HEADER, SECRET_VARIABLE, sender

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_ASGI_HEADER = HEADER.lower().encode()
_WSGI_HEADER = "HTTP_" + HEADER.upper().replace("-", "_")


def asgi(app: AsgiApp) -> AsgiApp:
    """Returns an ASGI application that does what `app` does, each request for the test that sent it.

    For Starlette and FastAPI, `app.add_middleware(asgi)` does the same.
    """

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        owner = None
        if SECRET_VARIABLE in os.environ:
            for name, value in scope.get("headers", ()):
                if name.lower() == _ASGI_HEADER:
                    owner = _honoured(value.decode("latin-1"))
        if owner is None:
            await app(scope, receive, send)
            return
        with acting_for(owner):
            await app(scope, receive, send)

    return served


def wsgi(app: WsgiApp) -> WsgiApp:
    """Returns a WSGI application that does what `app` does, each request for the test that sent it."""

    def served(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        owner = None
        if SECRET_VARIABLE in os.environ and _WSGI_HEADER in environ:
            owner = _honoured(environ[_WSGI_HEADER])
        if owner is None:
            return app(environ, start_response)
        with acting_for(owner):
            return _Body(app(environ, start_response), owner)

    return served


class _Body:
    """The body of a response, which may be made while it is sent."""

    def __init__(self, body: Iterable[bytes], owner: Owner) -> None:
        self._body = body
        self._owner = owner

    def __iter__(self) -> Iterator[bytes]:
        parts = iter(self._body)
        while True:
            with acting_for(self._owner):
                try:
                    part = next(parts)
                except StopIteration:
                    return
            yield part

    def __len__(self) -> int:
        # Servers tell the length of a body of one part by it; TypeError where the body has none.
        return len(self._body)  # type: ignore[arg-type]

    def close(self) -> None:
        if (close := getattr(self._body, "close", None)) is not None:
            with acting_for(self._owner):
                close()


def _honoured(header: str) -> Owner | None:
    owner = sender(header)
    if owner is not None:
        server_process.look()
    return owner


class _ServerProcess:
    """A process that serves the tests of another one: its drivers are hooked, its commits logged."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: int | None = None
        self._look: Callable[[], None] | None = None
        self._undo: list[Callable[[], None]] = []

    def look(self) -> None:
        """Hooks the drivers that are imported by now, unless pytest does so in this very process."""
        if self._process != os.getpid():
            with self._lock:
                self._start()
        if self._look is not None:
            self._look()

    def _start(self) -> None:
        from pgwatch_tests.testing.connections import drivers
        from pgwatch_tests.testing.connections.commits import Commits
        from pgwatch_tests.testing.current_test import track_threads_and_tasks
        from pgwatch_tests.testing.http.server_journal import ServerJournal

        # A process that was forked has its parent's hooks, which log into the parent's file.
        if self._process is None and not drivers.are_hooked():
            commits = Commits()
            if (journal := ServerJournal.of_environment()) is not None:
                commits.listen(journal.commit)
            hooked = drivers.Drivers(commits, lambda _: None)
            self._look = hooked.look
            self._undo = [hooked.remove, track_threads_and_tasks()]
        self._process = os.getpid()

    def stop(self) -> None:
        """Takes the hooks out, as if no request of a test had come yet."""
        while self._undo:
            self._undo.pop()()
        self._look = self._process = None


server_process = _ServerProcess()
