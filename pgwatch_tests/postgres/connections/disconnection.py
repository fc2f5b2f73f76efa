"""Disconnection: at the client's deadline, under a thread that waits, or until the server freed the slot.

A server that is stopped, or stuck in its lock manager, ignores its own timeouts.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TypeVar

import psycopg
from psycopg import AsyncConnection

from pgwatch_tests.errors import ConnectionLostError
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.session_settings import Row

T = TypeVar("T")

_PATIENCE_S = 0.5


async def close_and_wait(connection: AsyncConnection[Row]) -> None:
    """Closes a connection, and waits up to 0.5 s until the server has freed its slot.

    The process frees that before it ends, and only then is the socket closed (ProcKill,
    src/backend/storage/lmgr/proc.c).
    """
    if connection.closed:
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.setblocking(False)
        connection.pgconn.finish()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while await asyncio.get_running_loop().sock_recv(same, 4096):
                    pass
        except OSError:  # TimeoutError included: whoever comes next sees
            pass


def finish_and_wait(connection: psycopg.Connection[Row]) -> None:
    """Does what `close_and_wait` does, without a loop."""
    if connection.closed:
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.settimeout(_PATIENCE_S)
        connection.close()
        with suppress(OSError):  # TimeoutError included: whoever comes next sees
            while same.recv(4096):
                pass


def hang_up(connection: OwnConnection) -> None:
    """Ends a connection that another thread waits on; libpq's own functions aren't for two threads."""
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)
    except (OSError, psycopg.Error):
        pass  # closed already


async def within(deadline_s: float, work: Coroutine[None, None, T], hang_up: Callable[[], None]) -> T:
    """Returns the result of `work` over a connection that `hang_up` closes at once.

    Raises ConnectionLostError after `deadline_s` seconds; then, and if the caller is cancelled, the
    connection is closed.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=deadline_s)
    except asyncio.CancelledError:
        _abandon(task, hang_up)
        raise
    if not done:
        _abandon(task, hang_up)
        raise ConnectionLostError(f"the server hasn't answered for {deadline_s:g} s")
    return task.result()


def _abandon(task: asyncio.Task[T], hang_up: Callable[[], None]) -> None:
    # Closed first: with the connection still active, psycopg would wait for the server's farewell.
    hang_up()
    task.cancel()
