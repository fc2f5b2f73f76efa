"""A connection through the proxy: messages go both ways, a batch of an actor stops before it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from pgwatch_tests.testing.interleaving.actor import Actor, Stop
from pgwatch_tests.testing.interleaving.faults import FaultKind
from pgwatch_tests.testing.interleaving.gates.round_trip import GatedConnection, fault_error
from pgwatch_tests.testing.interleaving.proxy import statements
from pgwatch_tests.testing.interleaving.proxy.conversation import (
    ENDS_OF_BATCHES,
    Batch,
    Conversation,
    error_message,
)
from pgwatch_tests.testing.interleaving.proxy.round_trips import BatchTrip, RoundTrips
from pgwatch_tests.testing.interleaving.proxy.switchboard import Switchboard
from pgwatch_tests.testing.interleaving.proxy.transaction_level import TransactionLevel
from pgwatch_tests.testing.interleaving.proxy.wire import (
    CANCEL,
    GSS,
    SSL,
    Message,
    WireError,
    error_response,
    messages_from,
    query,
    start_code,
    start_parameters,
)

_OWN_TIMEOUT_S = 10.0
_ABOUT_SESSION = frozenset({b"Z", b"S", b"N", b"A"})
"""What the server sends between batches too: it is ready, reports a setting, or notifies."""


class ProxiedConnection(GatedConnection):
    """A connection of a client, and the one to the server that belongs to it. Used in the proxy's loop."""

    def __init__(
        self,
        switchboard: Switchboard,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        number: int | None,
    ) -> None:
        self.number = number
        """The actor whose connection string led here; None: it is one for all."""
        self.owner: Actor | None = None
        """Whose transaction is open, where neither that nor the name tells."""
        self._switchboard = switchboard
        self._loop = asyncio.get_running_loop()
        self._client = client[1]
        self._from_client = messages_from(client[0], "client")
        self._server: asyncio.StreamWriter | None = None
        self._conversation = Conversation()
        self._database = ""
        self._trips = RoundTrips(self, self._conversation)
        self._actor: Actor | None = None
        """Whose the trip is."""
        self._is_sent = False
        self._idle = asyncio.Event()
        """Set while the server is ready for a batch."""
        self._held: list[Message] = []
        """The end of an answer, which the client gets once it was taken note of."""
        self._asked: tuple[asyncio.Future[list[Message]], list[Message]] | None = None
        self._answering: asyncio.Task[None] | None = None
        self._is_lost = self._is_over = self._stands = self._skips = False
        self._level = TransactionLevel(self._ask)

    async def serve(self) -> None:
        """Passes messages on until one side closes."""
        receiving = None
        try:
            start = await self._start()
            if start is None:
                return
            reader, self._server = await self._switchboard.connect()
            self._server.write(start.raw)
            if start_code(start.body) == CANCEL:
                await self._server.drain()
                return
            given = start_parameters(start.body)
            self._database = given.get("database") or given.get("user", "")
            receiving = asyncio.create_task(self._receive(messages_from(reader, "server")))
            await self._send_all()
        except WireError as error:
            self._client.write(error_response("FATAL", "08P01", str(error)))
        except (OSError, Stop) as error:
            if self._server is None:
                self._client.write(error_response("FATAL", "08006", f"the proxy has no server: {error}"))
        finally:
            if receiving is not None:
                receiving.cancel()
            self.close()

    def close(self) -> None:
        """Closes both sides."""
        self._is_over = self._is_lost = True
        for writer in (self._client, self._server):
            if writer is not None:
                writer.close()
        self._fail_trip()
        self._switchboard.note_change()

    async def _start(self) -> Message | None:
        async for message in self._from_client:
            if start_code(message.body) not in (SSL, GSS):
                return message
            # In clear: the socket is in a directory of the user's own, or on loopback.
            self._client.write(b"N")
        return None

    async def _send_all(self) -> None:
        messages: list[Message] = []
        async for message in self._from_client:
            assert self._server is not None
            is_at_once = message.type in (b"d", b"c", b"f", b"p") or (
                message.type in (b"S", b"H") and self._conversation.has_copied
            )
            if is_at_once or message.type == b"X":
                self._server.write(message.raw)
                await self._server.drain()
                if message.type == b"X":
                    return
                continue
            messages.append(message)
            if message.type in ENDS_OF_BATCHES:
                await self._send(messages)
                messages = []
            if self._is_lost:
                return

    async def _send(self, messages: Sequence[Message]) -> None:
        assert self._server is not None
        await self._idle.wait()
        if self._skips:
            self._skip(messages)
            return
        if self._trips.current is None:
            self._conversation.begin()
        is_in_transaction = self.status_of_server == TransactionStatus.INTRANS
        batch = self._conversation.read(messages, begins=is_in_transaction and self._level.is_fresh)
        if not self._trips.goes_on_with(batch):
            if self._trips.current is not None:
                self._note_answer()
            trip = self._trips.begin(batch)
            fault = await self._pass_gate(trip, batch)
            if self._is_lost:
                return
            await self._level.set_ahead_of(batch, self.status_of_server)
            if fault is not None:
                await self._fail(trip, batch, fault)
                return
        if batch.is_synced:
            self._idle.clear()
            self._is_sent = True
        self._server.write(batch.raw)
        await self._server.drain()

    async def _pass_gate(self, trip: BatchTrip, batch: Batch) -> FaultKind | None:
        self._actor = actor = await self._switchboard.actor_of(self, trip)
        if actor is None:
            self._level.wanted = None
            return None
        await self._level.look_ahead(batch, self.status_of_server)
        self._stands = True
        self._loop.call_soon(self._switchboard.note_change)
        try:
            await actor.pass_gate_async(trip)
        finally:
            self._stands = False
        return actor.take_fault() if trip.kind is not None else None

    async def _receive(self, messages: AsyncIterator[Message]) -> None:
        try:
            async for message in messages:
                if self._asked is None or message.type in _ABOUT_SESSION:
                    self._conversation.received(message)
                if message.type == b"K":
                    self.backend_pid = self._conversation.pid
                if self._asked is not None and message.type not in (b"S", b"N", b"A"):
                    self._asked[1].append(message)
                    if message.type == b"Z":
                        (future, answer), self._asked = self._asked, None
                        if not future.done():
                            future.set_result(answer)
                elif message.type == b"Z":
                    self._held.append(message)
                    self._ready()
                elif message.type == b"E" and self._trips.current is not None and not self._is_sent:
                    self._fail_flushed(message)
                elif self._held or (message.type == b"E" and self._trips.current is not None):
                    self._held.append(message)
                else:
                    self._client.write(message.raw)
                    await self._client.drain()
        except (OSError, WireError):
            pass
        # The server has closed it.
        self._is_lost = True
        self._idle.set()
        if not self._stands:
            self._give_held()
            self._fail_trip()
            self._client.close()

    def _ready(self) -> None:
        """The server has done what it was sent, and waits for more."""
        is_open = self.status_of_server == TransactionStatus.INTRANS
        learns = is_open and self._trips.current is not None and self._trips.current.kind is not None
        learns = learns and self._actor is not None and not self._level.is_told()
        # Of several who run at once nothing would tell whose the next batch is.
        waits_for_turn = self.owner is not None and not self._switchboard.is_turn_of(self.owner)
        if learns or waits_for_turn:
            self._answering = asyncio.create_task(self._answer_later(learns=learns))
        else:
            self._answer()

    async def _answer_later(self, *, learns: bool) -> None:
        if learns:
            await self._level.learn()
        if self.owner is not None:
            await self._switchboard.turn_of(self.owner)
        self._answer()

    def _answer(self) -> None:
        """Takes note of the answer, and gives its end to the client."""
        self._note_answer()
        if self.status_of_server == TransactionStatus.IDLE:
            self._level.end_transaction()
            self.owner = None
        self._give_held()
        self._idle.set()
        self._switchboard.note_change()

    def _note_answer(self) -> None:
        trip, actor, error = self._trips.current, self._actor, self._conversation.error()
        self._trips.current = self._actor = None
        self._is_sent = False
        if trip is not None and actor is not None:
            told = actor.answered(trip, error)
            if told is not error and isinstance(told, psycopg.Error):
                self._held = [error_message(told) if one.type == b"E" else one for one in self._held]

    def _fail_flushed(self, message: Message) -> None:
        """What was flushed has failed: the client hears so before it sends its Sync."""
        self._conversation.fail_transaction()
        self._held = [message]
        self._note_answer()
        self._give_held()

    def _give_held(self) -> None:
        held, self._held = self._held, []
        self._client.writelines(one.raw for one in held)

    def _fail_trip(self) -> None:
        """The connection is lost with whatever was under way."""
        if self._asked is not None and not self._asked[0].done():
            self._asked[0].cancel()
        trip, actor = self._trips.current, self._actor
        self._trips.current = self._actor = None
        if trip is not None and actor is not None and not self._stands:
            actor.answered(trip, self._conversation.error() or fault_error("l"))

    async def _fail(self, trip: BatchTrip, batch: Batch, kind: FaultKind) -> None:
        """Lets a batch fail, and puts the session into the state in which the fault leaves it."""
        if kind in ("l", "c"):
            if kind == "c":
                await self._ask(batch.raw)
            self.close()
            return
        if trip.kind == "commit":
            await self._ask("ROLLBACK")
        elif self.status_of_server == TransactionStatus.INTRANS or statements.begins(batch.whole):
            if self.status_of_server == TransactionStatus.IDLE:
                await self._ask("BEGIN")
            await self._ask("ROLLBACK TO SAVEPOINT pgwatch_fault")
        error = error_message(fault_error(kind))
        self._conversation.received(error)
        self._held = [error]
        if batch.is_synced:
            self._held.append(self._conversation.ready())
        self._skips = not batch.is_synced
        self._answer()

    def _skip(self, messages: Sequence[Message]) -> None:
        """After an error nothing counts up to the next Sync, as in the server."""
        if messages[-1].type == b"S":
            self._skips = False
            self._client.write(self._conversation.ready().raw)

    async def _ask(self, asked: str | bytes) -> list[Message]:
        """Has the server answer a question of our own, which the client doesn't see."""
        assert self._server is not None
        future: asyncio.Future[list[Message]] = self._loop.create_future()
        self._asked = (future, [])
        self._server.write(query(asked) if isinstance(asked, str) else asked)
        return await asyncio.wait_for(future, _OWN_TIMEOUT_S)

    @property
    def application_name(self) -> str:
        """Its name, as the server has reported it last."""
        return self._conversation.parameters.get("application_name", "")

    @property
    def status_of_server(self) -> TransactionStatus:
        """The state as of the server's last word."""
        return self._conversation.status

    @property
    def status(self) -> TransactionStatus:
        """See GatedConnection."""
        if self._is_over:
            return TransactionStatus.UNKNOWN
        # What a pool sends of its own, after all, keeps nobody waiting.
        works = (trip := self._trips.current) is not None and (trip.kind is not None or trip.may_wait)
        return TransactionStatus.ACTIVE if self._is_sent and works else self.status_of_server

    @property
    def descriptors(self) -> list[int]:
        """The descriptors of its sockets."""
        sockets = [one.get_extra_info("socket") for one in (self._client, self._server) if one is not None]
        return [one.fileno() for one in sockets if one is not None]

    @property
    def sender(self) -> Actor | None:
        """The actor that waits for an answer on it."""
        return self._actor if self._is_sent else None

    @property
    def is_closed(self) -> bool:
        """See GatedConnection."""
        return self._is_over

    @property
    def server(self) -> str:
        """See GatedConnection."""
        return self._database

    @property
    def dsn(self) -> str:
        """See GatedConnection."""
        return self._switchboard.server_dsn(self._database)

    @property
    def known_isolation(self) -> IsolationLevel | None:
        """See GatedConnection."""
        return self._level.current

    def transaction_isolation(self) -> IsolationLevel:
        """See GatedConnection."""
        return self._level.current or IsolationLevel.SERIALIZABLE

    @property
    def keeps_snapshot(self) -> bool:
        """See GatedConnection."""
        return self._level.keeps_snapshot

    def force_isolation(self, level: IsolationLevel | None) -> None:
        """See GatedConnection. Carried out with the next batch."""
        self._level.wanted = level

    def roll_back(self, timeout_s: float) -> None:
        """See GatedConnection."""
        asyncio.run_coroutine_threadsafe(self._roll_back(), self._loop).result(timeout_s)

    async def _roll_back(self) -> None:
        await self._idle.wait()
        if not self._is_over:
            with suppress(asyncio.CancelledError, TimeoutError):  # it is lost meanwhile
                await self._ask("ROLLBACK")

    def cancel(self) -> None:
        """See GatedConnection."""
        self._loop.call_soon_threadsafe(self.close)
