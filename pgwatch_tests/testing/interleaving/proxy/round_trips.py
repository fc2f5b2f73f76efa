"""Round trips of a proxied connection: which batches are one step. Pure."""

from __future__ import annotations

from psycopg.pq import TransactionStatus

from pgwatch_tests.testing.interleaving.gates.round_trip import GatedConnection, RoundTrip
from pgwatch_tests.testing.interleaving.proxy.conversation import Batch, Conversation


class BatchTrip(RoundTrip):
    """A batch as a round trip of an actor."""

    __slots__ = ("_conversation",)

    def __init__(
        self, connection: GatedConnection, batch: Batch, conversation: Conversation, *, is_rest: bool = False
    ) -> None:
        super().__init__(
            connection,
            batch.kind,
            batch.text or batch.question,
            is_untold=not batch.is_synced,
            rolls_back=batch.rolls_back,
            may_wait=bool(
                batch.prepared or (batch.question and connection.status == TransactionStatus.INTRANS)
            ),
            is_rest=is_rest,
        )
        self._conversation = conversation

    def result(self) -> str:
        """See RoundTrip."""
        return "" if self.kind == "commit" else self._conversation.result()


class RoundTrips:
    """The round trips of one connection.

    What is flushed goes on up to its Sync. A statement that is prepared at the beginning of a transaction is
    a step together with its execution, which comes next: drivers prepare it the first time, and never again.
    """

    def __init__(self, connection: GatedConnection, conversation: Conversation) -> None:
        self.current: BatchTrip | None = None
        """The one that isn't answered."""
        self._connection = connection
        self._conversation = conversation
        self._prepared: BatchTrip | None = None
        """The step of a statement that is to be executed now."""

    def goes_on_with(self, batch: Batch) -> bool:
        """Whether a batch belongs to the current round trip."""
        if self.current is None or (self.current.kind is None and batch.kind is not None):
            return False
        if self._prepared is None or not batch.is_executing:
            return True
        return self._takes_up(batch)

    def begin(self, batch: Batch) -> BatchTrip:
        """Returns the round trip that begins with a batch."""
        is_rest = self._prepared is not None and self._takes_up(batch)
        self._prepared = None
        self.current = BatchTrip(self._connection, batch, self._conversation, is_rest=is_rest)
        if batch.kind is not None and not batch.is_executing:
            self._prepared = self.current
        return self.current

    def _takes_up(self, batch: Batch) -> bool:
        """Whether a batch executes what was prepared. The step is shown with its values then."""
        prepared, self._prepared = self._prepared, None
        if prepared is None or not batch.is_executing or batch.whole != prepared.text:
            return False
        prepared.text = batch.text
        return True
