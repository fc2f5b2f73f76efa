"""Hooks in psycopg_pool that tell when a session is handed out: until then, the application prepares it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg_pool

from pgwatch_tests.testing.connections.sessions import DriverHooks


class PsycopgPoolHooks(DriverHooks[object]):
    """The hooks in psycopg_pool."""

    driver = "psycopg_pool"

    def _install(self) -> None:
        for pool in (psycopg_pool.ConnectionPool, psycopg_pool.NullConnectionPool):
            if "getconn" in vars(pool):
                self._patch(pool, "getconn", ("self",), self._handing_out, passes_on=True)
            if "putconn" in vars(pool):
                self._patch(pool, "putconn", ("self", "conn"), self._taking_back, passes_on=True)
        for async_pool in (psycopg_pool.AsyncConnectionPool, psycopg_pool.AsyncNullConnectionPool):
            if "getconn" in vars(async_pool):
                self._patch(async_pool, "getconn", ("self",), self._handing_out_async, passes_on=True)
            if "putconn" in vars(async_pool):
                self._patch(async_pool, "putconn", ("self", "conn"), self._taking_back, passes_on=True)

    def _handing_out(self, get: Callable[..., object]) -> Callable[..., object]:
        def get_started(pool: object, *args: object, **more: object) -> object:
            connection = get(pool, *args, **more)
            self._mark(connection, True)
            return connection

        return get_started

    def _handing_out_async(self, get: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def get_started(pool: object, *args: object, **more: object) -> object:
            connection = await get(pool, *args, **more)
            self._mark(connection, True)
            return connection

        return get_started

    def _taking_back(self, put: Callable[..., Any]) -> Callable[..., Any]:
        def put_ended(pool: object, conn: object, *args: object, **more: object) -> Any:
            self._mark(conn, False)
            return put(pool, conn, *args, **more)

        return put_ended

    def _mark(self, connection: object, has_started: bool) -> None:
        for hooks in self.drivers:
            if (session := hooks.known(connection)) is not None:
                session.state.has_started = has_started
                session.is_of_pool = True
