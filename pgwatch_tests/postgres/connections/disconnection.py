"""Ends connections: so that their places are free for the next one, or under whoever waits for them."""

from __future__ import annotations

import asyncio
import os
import socket

import psycopg
from psycopg import AsyncConnection

from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.session_settings import Row

_PATIENCE_S = 0.5


async def part(connection: AsyncConnection[Row]) -> None:
    """Closes it, and waits up to 0.5 s until the server has given its place up.

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


def hang_up(connection: OwnConnection) -> None:
    """Ends the connection under whoever waits for it; libpq's own functions aren't for two threads."""
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)
    except (OSError, psycopg.Error):
        pass  # closed already
