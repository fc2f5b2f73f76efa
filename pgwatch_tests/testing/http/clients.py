"""Hooks in HTTP clients that put the header of the test on its requests: httpx, requests, Starlette, Django.

Starlette's test client is one of httpx2, or of httpx. A request to a host that isn't of this machine or its
network gets no header, also where another host has redirected to it.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from pgwatch_tests.testing.connections.sessions import takes
from pgwatch_tests.testing.http.header import HEADER, is_of_this_machine, request_headers

_WSGI_HEADER = "HTTP_" + HEADER.upper().replace("-", "_")


class HttpClients:
    """The hooks in all clients that are imported; `look` puts them in, `remove` takes them out."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        """`warn` is told, once for each client, what of it couldn't be hooked."""
        self._warn = warn
        self._patched: list[tuple[type, str, object, object]] = []
        self._waiting: dict[str, Callable[[Any], None]] = {
            "httpx": self._hook_httpx,
            "httpx2": self._hook_httpx,
            "requests": self._hook_requests,
            "django.test.client": self._hook_django,
        }

    @property
    def awaited(self) -> Collection[str]:
        """The modules that the suite hasn't imported yet."""
        return self._waiting

    def look(self) -> None:
        """Hooks the clients that were imported since the last look."""
        for name in [name for name in self._waiting if name in sys.modules]:
            self._waiting.pop(name)(import_module(name))

    def remove(self) -> None:
        """Takes all hooks out."""
        self._waiting.clear()
        for of, name, ours, before in self._patched:
            if vars(of).get(name) is ours:
                setattr(of, name, before)
        self._patched.clear()

    def _hook_httpx(self, httpx: Any) -> None:
        def sending(send: Callable[..., object]) -> Callable[..., object]:
            def send_named(client: object, request: Any) -> object:
                _mark(request.headers, request.url.host)
                return send(client, request)

            return send_named

        def sending_async(send: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
            async def send_named(client: object, request: Any) -> object:
                _mark(request.headers, request.url.host)
                return await send(client, request)

            return send_named

        self._patch(httpx.Client, "_send_single_request", ("self", "request"), sending)
        self._patch(httpx.AsyncClient, "_send_single_request", ("self", "request"), sending_async)

    def _hook_requests(self, requests: Any) -> None:
        def sending(send: Callable[..., object]) -> Callable[..., object]:
            def send_named(session: object, request: Any, **more: object) -> object:
                _mark(request.headers, urlsplit(request.url).hostname)
                return send(session, request, **more)

            return send_named

        self._patch(requests.Session, "send", ("self", "request"), sending)

    def _hook_django(self, client: Any) -> None:
        def with_environ(make: Callable[..., dict[str, object]]) -> Callable[..., object]:
            def make_named(factory: object, **request: object) -> dict[str, object]:
                for value in request_headers().values():
                    request.setdefault(_WSGI_HEADER, value)
                return make(factory, **request)

            return make_named

        def with_scope(make: Callable[..., dict[str, Any]]) -> Callable[..., object]:
            def make_named(factory: object, **request: object) -> dict[str, Any]:
                scope = make(factory, **request)
                headers = [
                    (name.lower().encode(), value.encode()) for name, value in request_headers().items()
                ]
                scope["headers"] = [*scope.get("headers", ()), *headers]
                return scope

            return make_named

        self._patch(client.RequestFactory, "_base_environ", ("self",), with_environ)
        self._patch(client.AsyncRequestFactory, "_base_scope", ("self",), with_scope)

    def _patch(
        self,
        of: type,
        name: str,
        parameters: tuple[str, ...],
        replace: Callable[[Callable[..., Any]], Callable[..., object]],
    ) -> None:
        before = vars(of).get(name)
        if before is None or not takes(before, parameters, passes_on=True):
            self._warn(
                f"{of.__module__} has changed ({of.__name__}.{name}): its requests don't name their test"
            )
            return
        ours = replace(before)
        setattr(of, name, ours)
        self._patched.append((of, name, ours, before))


def _mark(headers: MutableMapping[str, str], host: str | None) -> None:
    if is_of_this_machine(host):
        headers.update(request_headers())
    elif HEADER in headers:
        del headers[HEADER]
