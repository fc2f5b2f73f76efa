"""Connections of this process, by the pid of their server process; and how to reach the same server.

Looked for only once a session has been seen to wait: all objects of the process are gone through, so that no
driver needs a hook. What another process has is never found, nor what gc.freeze() has hidden.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from psycopg import BaseConnection
from psycopg.conninfo import make_conninfo

from pgwatch_tests.settings.load import Dsn


def backend_pid(connection: object) -> int | None:
    """Returns the pid that the server told at the connection's start; None if it is closed, or unknown."""
    with suppress(Exception):
        if isinstance(connection, BaseConnection):
            return None if connection.closed else connection.info.backend_pid
        if _is_of("asyncpg", "Connection", connection):
            return None if connection.is_closed() else int(connection.get_server_pid())  # type: ignore[attr-defined]
        if _is_of("psycopg2.extensions", "connection", connection):
            return None if connection.closed else int(connection.get_backend_pid())  # type: ignore[attr-defined]
    return None


def connections_of_process() -> Mapping[int, Any]:
    """Returns the open connections of this process: of psycopg 2 and 3, and asyncpg; by backend pid."""
    return {pid: one for one in _candidates() if (pid := backend_pid(one)) is not None}


def dsn_of(connection: Any) -> Dsn | None:
    """Returns how to connect to the same server, as the same role; None if the connection doesn't tell."""
    with suppress(Exception):
        if isinstance(connection, BaseConnection):
            parameters = connection.info.get_parameters()
            password: str | None = connection.info.password
        elif _is_of("psycopg2.extensions", "connection", connection):
            parameters, password = connection.info.dsn_parameters, connection.info.password
        else:
            parameters, password = _of_asyncpg(connection)
        if password:
            parameters["password"] = password
        return Dsn(make_conninfo("", **parameters), "the engine of the test")
    return None


def _of_asyncpg(connection: Any) -> tuple[dict[str, str], str | None]:
    address, parameters = connection._addr, connection._params
    if isinstance(address, str):
        # The path of a socket: /tmp/.s.PGSQL.5432.
        directory, _, name = address.rpartition("/")
        place = {"host": directory, "port": name.rpartition(".")[2]}
    else:
        place = {"host": str(address[0]), "port": str(address[1])}
    password = parameters.password if isinstance(parameters.password, str) else None
    return {**place, "user": parameters.user, "dbname": parameters.database}, password


def _candidates() -> Iterator[object]:
    names = [BaseConnection, _class("asyncpg", "Connection"), _class("psycopg2.extensions", "connection")]
    types = tuple(one for one in names if one is not None)
    for one in gc.get_objects():
        # By its type: __class__ of a proxy may do anything.
        if issubclass(type(one), types):
            yield one


def _class(module: str, name: str) -> type | None:
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else None


def _is_of(module: str, name: str, connection: object) -> bool:
    of = _class(module, name)
    return of is not None and isinstance(connection, of)
