"""The proxy of an exploration: sockets that lead to the server, and whose each connection is."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn
from pgwatch_tests.testing.interleaving.actor import Actor
from pgwatch_tests.testing.interleaving.gates.round_trip import RoundTrip
from pgwatch_tests.testing.interleaving.monitor import dsn_of
from pgwatch_tests.testing.interleaving.proxy.proxied_connection import ProxiedConnection
from pgwatch_tests.testing.interleaving.proxy.proxy_directory import (
    new_directory,
    remove_left_directories,
)
from pgwatch_tests.testing.interleaving.schedules.step import LETTERS

_PORT = 5432
_LIMITS = SessionLimits(statement_timeout_s=10.0, lock_timeout_s=1.0)
_GRACE_S = 0.2
"""How long a server may be idle in a transaction after it has answered."""
_LOOK_S = 0.02


class InterleaveProxy:
    """A proxy in front of a server, in a thread of this process, for one exploration after the other.

        with InterleaveProxy(dsn) as proxy:
            server = start_server(DATABASE_URL=proxy.dsn)
            interleave_requests(proxy, book, cancel, setup=..., invariant=...).assert_holds()

    `dsn` leads to it from wherever: which actor a connection works for is told by its application_name where
    this ends in `interleave A` (`B` …), else by who runs: all others stand at their gates. `dsns` are one for
    each actor, A first, and need nothing of that.

    It listens on Unix sockets in a directory that only this user may enter. `tcp=True`: on loopback instead,
    where every user of the machine can connect (the server still asks each for its password). Between
    clients and the proxy there is no TLS, and none between it and the server, which has to be on this
    machine, or one that takes connections without. It ends with its `with` block, and with the process.
    """

    where = "those have gates that are sent through the proxy: connect by its connection strings"

    def __init__(self, dsn: str, *, tcp: bool = False) -> None:
        self.dsn = ""
        self.dsns: tuple[str, ...] = ()
        self.notes: dict[str, None] = {}
        """What an exploration should be told beside."""
        self._target = dsn
        self._tcp = tcp
        self._server_dsn = ""
        self._parameters: dict[str, str] = {}
        self._directory: Path | None = None
        self._alive: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[ProxiedConnection] = set()
        self._listening: list[int] = []
        self._actors: Sequence[Actor] = ()
        self._undecided = 0
        self._change: asyncio.Event | None = None

    def __enter__(self) -> InterleaveProxy:
        """Starts it. Raises CannotConnectError, and ConfigurationError where it may not lead to."""
        self._look_at_server()
        _living.add(self)
        remove_left_directories()
        self._directory, self._alive = new_directory()
        ready = threading.Event()
        failures: list[BaseException] = []

        async def serve() -> None:
            self._loop, self._change = asyncio.get_running_loop(), asyncio.Event()
            self._stopping = stopping = asyncio.Event()
            servers: list[asyncio.Server] = []
            try:
                for number in (None, *range(len(LETTERS))):
                    servers.append(await self._listen(number))
            except OSError as error:
                failures.append(error)
                stopping.set()
            ready.set()
            await stopping.wait()
            await self._close_connections()
            for server in servers:
                server.close()

        self._thread = threading.Thread(
            target=lambda: asyncio.run(serve()), name="interleave proxy", daemon=True
        )
        self._thread.start()
        ready.wait()
        if failures:
            self.__exit__(None, None, None)
            raise failures[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes all connections, and stops listening."""
        if self._loop is not None and self._stopping is not None and self._thread is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(10)
        _living.discard(self)
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
        if self._alive is not None:
            os.close(self._alive)
            self._alive = None

    async def __aenter__(self) -> InterleaveProxy:
        """Does what `__enter__` does."""
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Does what `__exit__` does."""
        await asyncio.to_thread(self.__exit__, kind, error, trace)

    def install(self) -> None:
        """See Gates. They are there as long as the proxy is."""

    def remove(self) -> None:
        """See Gates."""

    def begin(self, actors: Sequence[Actor]) -> None:
        """See Gates."""
        for actor in actors:
            actor.lingers = partial(self._lingers, actor)
        self._actors = actors

    def end(self) -> None:
        """See Gates."""
        self._actors = ()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """See Switchboard."""
        host, port = self._parameters["host"], self._parameters["port"]
        if host.startswith(("/", "@")):
            path = f"{host}/.s.PGSQL.{port}"
            return await asyncio.open_unix_connection("\0" + path[1:] if host.startswith("@") else path)
        return await asyncio.open_connection(self._parameters.get("hostaddr") or host, int(port))

    def server_dsn(self, database: str) -> str:
        """See Switchboard."""
        return make_conninfo(self._server_dsn, dbname=database)

    async def actor_of(self, connection: ProxiedConnection, trip: RoundTrip) -> Actor | None:
        """See Switchboard."""
        while actors := self._actors:
            number = connection.number
            if number is None:
                number = _number_of(connection.application_name)
            if number is not None:
                actor = actors[number] if number < len(actors) else None
                return None if actor is None or not self._runs(actor, trip) else actor
            if connection.owner is not None and connection.owner in actors:
                return connection.owner if self._runs(connection.owner, trip) else None
            if trip.kind is None and not trip.may_wait:
                return None
            free = self._running()
            if len(free) == 1:
                connection.owner = free[0]
                return free[0]
            if trip.kind is None or not free:
                self._note_nobodys(trip)
                return None
            await self._decide_later(free, trip)
        return None

    def is_turn_of(self, actor: Actor) -> bool:
        """See Switchboard."""
        return not any(one is not actor for one in self._running())

    async def turn_of(self, actor: Actor) -> None:
        """See Switchboard."""
        deadline = asyncio.get_running_loop().time() + _GRACE_S
        while not self.is_turn_of(actor) and asyncio.get_running_loop().time() < deadline:
            await self._changes()

    def note_change(self) -> None:
        """See Switchboard."""
        if self._change is not None:
            self._change.set()

    async def _decide_later(self, free: Sequence[Actor], trip: RoundTrip) -> None:
        """Waits until fewer actors can have sent a batch."""
        self._undecided += 1
        try:
            if self._undecided >= len(free):
                letters = " and ".join(one.letter for one in free)
                free[0].fail_run(
                    f"actors {letters} send at once over connections of which nothing tells whose they are, "
                    f"such as {trip.text!r}: give each actor a connection string of its own "
                    "(InterleaveProxy.dsns), or its connections the application_name 'interleave A' (B …)"
                )
            await self._changes()
        finally:
            self._undecided -= 1

    def _running(self) -> list[Actor]:
        """Returns the actors who neither stand nor wait for an answer: one of them sends next."""
        senders = {one.sender for one in self._connections}
        return [one for one in self._actors if one.is_under_way and one not in senders]

    async def _changes(self) -> None:
        """Waits until an actor stands, or a connection is free; for a moment, since ends aren't told."""
        assert self._change is not None
        self._change.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._change.wait(), _LOOK_S)

    def _runs(self, actor: Actor, trip: RoundTrip) -> bool:
        """Whether an actor can still make steps."""
        if actor.state != "done" or trip.kind is None:
            return actor.state != "done"
        self.notes[
            f"actor {actor.letter} sent {trip.text!r} after its function had returned: it is no step"
        ] = None
        return False

    def _note_nobodys(self, trip: RoundTrip) -> None:
        if trip.kind is not None:
            self.notes[f"{trip.text!r} was sent while no actor ran: it is no step of any"] = None

    def leave_to_parent(self) -> None:
        """Lets go of everything in a process that was forked: the proxy is its parent's."""
        held = [*self._listening, *([] if self._alive is None else [self._alive])]
        for descriptor in (*held, *(two for one in self._connections for two in one.descriptors)):
            with suppress(OSError):
                os.close(descriptor)
        self._loop = self._thread = self._directory = self._alive = None

    def _lingers(self, actor: Actor) -> bool:
        """Whether something of an actor goes on after its function has returned."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.note_change)
        if not any(session.is_open for session in list(actor.sessions.values())):
            return False
        asyncio.run_coroutine_threadsafe(self._linger(actor), self._loop)
        return True

    async def _linger(self, actor: Actor) -> None:
        idle_since: float | None = None
        loop = asyncio.get_running_loop()
        while actor.state != "done" and not actor.is_stopped:
            sessions = list(actor.sessions.values())
            if not any(one.is_open for one in sessions):
                break
            if actor.state == "ready" or any(one.connection in self._busy() for one in sessions):
                idle_since = None
            else:
                idle_since = idle_since or loop.time()
                if loop.time() - idle_since > _GRACE_S:
                    break
            await asyncio.sleep(0.002)
        actor.finish()

    def _busy(self) -> set[object]:
        return {one for one in self._connections if one.sender is not None}

    def _look_at_server(self) -> None:
        with connect(Dsn(self._target, "the proxy's server"), _LIMITS, connect_timeout_s=10.0) as connection:
            info = connection.info
            self._server_dsn = dsn_of(connection)
            self._parameters = {
                "host": info.host, "port": str(info.port), "user": info.user, "password": info.password,
                "dbname": info.dbname, "hostaddr": "" if info.host.startswith("/") else info.hostaddr,
                "options": str(conninfo_to_dict(self._server_dsn).get("options") or ""),
            }  # fmt: skip
            is_here = info.host.startswith(("/", "@")) or info.hostaddr in ("127.0.0.1", "::1")
            if connection.pgconn.ssl_in_use and not is_here:
                raise ConfigurationError(
                    f"the proxy of interleave_requests speaks no TLS, and the server on {info.host} is "
                    "reached by it: use a server on this machine, or sslmode=disable if its network is safe"
                )

    async def _listen(self, number: int | None) -> asyncio.Server:
        """Listens for one actor, or for all; notes the connection string."""
        assert self._directory is not None
        accept = partial(self._accept, number)
        if self._tcp:
            server = await asyncio.start_server(accept, "127.0.0.1", 0)
            dsn = self._dsn("127.0.0.1", server.sockets[0].getsockname()[1])
        else:
            place = self._directory if number is None else self._directory / LETTERS[number]
            place.mkdir(exist_ok=True)
            server = await asyncio.start_unix_server(accept, place / f".s.PGSQL.{_PORT}")
            dsn = self._dsn(str(place), _PORT)
        self._listening += [one.fileno() for one in server.sockets]
        if number is None:
            self.dsn = dsn
        else:
            self.dsns = (*self.dsns, dsn)
        return server

    def _dsn(self, host: str, port: int) -> str:
        """Returns a URL that libpq, asyncpg, SQLAlchemy and node-postgres understand alike."""
        user, password = quote(self._parameters["user"], safe=""), self._parameters["password"]
        login = f"{user}:{quote(password, safe='')}" if password else user
        options = self._parameters["options"]
        more = [f"options={quote(options, safe='')}"] if options else []
        database = quote(self._parameters["dbname"], safe="")
        if self._tcp:
            place = f"{host}:{port}"
        else:
            place, more = "", [f"host={quote(host, safe='')}", f"port={port}", *more]
        return f"postgresql://{login}@{place}/{database}" + (f"?{'&'.join(more)}" if more else "")

    def _accept(self, number: int | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._stopping is not None
        if self._stopping.is_set():
            writer.transport.abort()
            return
        connection = ProxiedConnection(self, (reader, writer), number)
        self._connections.add(connection)
        task = asyncio.create_task(connection.serve())
        self._tasks.add(task)
        task.add_done_callback(partial(self._forget, connection))

    async def _close_connections(self) -> None:
        """Ends what is connected, and what is about to be: who comes now is refused.

        asyncio accepts in tasks of its own. A server that is closed before they are done leaves their sockets
        open (CPython, gh-109564).
        """
        for task in self._tasks:
            task.cancel()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _GRACE_S
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            if loop.time() > deadline:
                return
            await asyncio.wait(others, timeout=_GRACE_S, return_when=asyncio.FIRST_COMPLETED)

    def _forget(self, connection: ProxiedConnection, task: asyncio.Task[None]) -> None:
        connection.close()  # a task that is cancelled before it begins closes nothing
        self._connections.discard(connection)
        self._tasks.discard(task)


_living: weakref.WeakSet[InterleaveProxy] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for proxy in _living:
        proxy.leave_to_parent()


os.register_at_fork(after_in_child=_leave_to_parent)


def _number_of(application_name: str) -> int | None:
    """Returns the actor whose name an application's name ends in: `interleave B`."""
    words = application_name.split()
    if len(words) < 2 or words[-2] != "interleave" or words[-1] not in LETTERS:
        return None
    return LETTERS.index(words[-1])
