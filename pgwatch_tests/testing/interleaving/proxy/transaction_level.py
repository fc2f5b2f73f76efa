"""The isolation level of a proxied session's transactions: what is known of it, and what is forced on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from pgwatch_tests.testing.interleaving.gates.psycopg_connection import isolation_named
from pgwatch_tests.testing.interleaving.gates.round_trip import ABOVE_READ_COMMITTED
from pgwatch_tests.testing.interleaving.proxy import statements
from pgwatch_tests.testing.interleaving.proxy.conversation import Batch
from pgwatch_tests.testing.interleaving.proxy.wire import Fields, Message

Ask = Callable[[str], Awaitable[list[Message]]]


class TransactionLevel:
    """The level of one session."""

    def __init__(self, ask: Ask) -> None:
        """`ask` has the server answer a simple Query that the client doesn't see."""
        self.current: IsolationLevel | None = None
        """Of the transaction that is open, once it is known."""
        self.wanted: IsolationLevel | None = None
        """That which all transactions shall have, whatever they ask for."""
        self._ask = ask
        self._default: IsolationLevel | None = None
        self._forced: IsolationLevel | None = None
        self._ahead: IsolationLevel | None = None
        self._asks = False
        """Whether the batch that is about to be sent asks something in a transaction."""
        self._is_set = False
        """Whether the client may have set the default."""
        self.is_fresh = False
        """Whether a transaction may have begun in which nothing has happened."""

    async def set_ahead_of(self, batch: Batch, status: TransactionStatus) -> None:
        """Gives the transaction that is about to begin, or has just begun, the level that is wanted."""
        if status == TransactionStatus.IDLE and self.wanted is not self._forced:
            await self._ask(
                "RESET default_transaction_isolation"
                if self.wanted is None
                else f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {_words(self.wanted)}"
            )
            self._forced, self._default = self.wanted, None
        works = batch.kind is not None or bool(batch.prepared or batch.question)
        if status == TransactionStatus.INTRANS and self.is_fresh and works and self.wanted is not None:
            # The last moment: the first statement that needs a snapshot is about to come.
            await self._ask(f"SET TRANSACTION ISOLATION LEVEL {_words(self.wanted)}")
            self.current = self.wanted
        elif (named := statements.named_level(batch.whole)) is not None:
            self.current = isolation_named(named)
        self.is_fresh = not works and (status != TransactionStatus.INTRANS or self.is_fresh)
        if statements.sets_default_level(batch.whole):
            self._default, self._is_set = None, True
        elif statements.resets_settings(batch.whole) and (self._is_set or self._forced is not None):
            self._default = self._forced = None

    async def look_ahead(self, batch: Batch, status: TransactionStatus) -> None:
        """Learns what `keeps_snapshot` has to know of a batch that is about to be sent."""
        works_on = status == TransactionStatus.INTRANS or statements.begins(batch.whole)
        self._ahead = None
        self._asks = works_on and bool(batch.question)
        if self._asks:
            if (named := statements.named_level(batch.whole)) is not None:
                self._ahead = isolation_named(named)
                return
            if not self.is_told():
                await self.learn()
            self._ahead = self.current

    @property
    def keeps_snapshot(self) -> bool:
        """Whether that batch takes a snapshot for its whole transaction, though it is no step by itself."""
        return self._asks and (self.wanted or self._ahead) in ABOVE_READ_COMMITTED

    def is_told(self) -> bool:
        """Whether that of the transaction is known."""
        self.current = self.current or self._default
        return self.current is not None

    async def learn(self) -> None:
        """Asks for that of the transaction, which later ones have too unless they name their own."""
        rows = [one for one in await self._ask("SHOW transaction_isolation") if one.type == b"D"]
        if rows:
            fields = Fields(rows[0].body)
            fields.int16()
            self.current = self._default = isolation_named((fields.value() or b"").decode())

    def end_transaction(self) -> None:
        """Takes note that no transaction is open."""
        self.current = None


def _words(level: IsolationLevel) -> str:
    return level.name.replace("_", " ")
