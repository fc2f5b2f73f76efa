"""Conversation of a client with the server: what is prepared, what a batch does, what came back. Pure.

A batch is what a client sends up to its Sync, Flush or simple Query. Messages are only read: one that can't
be understood goes on as it came, and the server says what is wrong with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg
from psycopg.pq import TransactionStatus

from pgwatch_tests.testing.interleaving.gates.round_trip import (
    result_text,
    rows_text,
    server_error,
)
from pgwatch_tests.testing.interleaving.proxy import statements
from pgwatch_tests.testing.interleaving.proxy.statements import Value
from pgwatch_tests.testing.interleaving.proxy.wire import (
    Fields,
    Message,
    WireError,
    error_fields,
    error_response,
    ready_for_query,
)
from pgwatch_tests.testing.interleaving.schedules.step import StepKind, is_commit, rolls_back, takes_snapshot

ENDS_OF_BATCHES = frozenset({b"Q", b"S", b"H", b"F"})
_STATUSES = {
    b"I": TransactionStatus.IDLE,
    b"T": TransactionStatus.INTRANS,
    b"E": TransactionStatus.INERROR,
}


@dataclass(slots=True)
class _Prepared:
    text: str
    types: tuple[int, ...] = ()
    fields: tuple[int, ...] | None = None
    """The types of its columns, once the server has described it."""


@dataclass(frozen=True, slots=True)
class _Portal:
    prepared: _Prepared
    values: tuple[bytes | None, ...] = ()
    formats: tuple[int, ...] = ()
    result_formats: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """What a client has sent."""

    messages: tuple[Message, ...]
    kind: StepKind | None = None
    """None: no step."""
    text: str = ""
    """Its statements, without those that are no steps, and with their values."""
    whole: str = ""
    """All its statements, without values."""
    is_executing: bool = False
    """Whether it has statements run, and doesn't only prepare them."""
    prepared: str = ""
    """The statement that it prepares, if it does: then the server takes a snapshot."""
    rolls_back: bool = False
    question: str = ""
    """A statement of it that is no step by itself, and has its transaction take a snapshot."""

    @property
    def raw(self) -> bytes:
        """All bytes."""
        return b"".join(one.raw for one in self.messages)

    @property
    def is_synced(self) -> bool:
        """Whether the server says at its end that it is ready for the next one."""
        return self.messages[-1].type != b"H"


@dataclass(slots=True)
class _Result:
    fields: tuple[tuple[int, int], ...] = ()
    """The type and format of each column."""
    rows: int = 0
    first: bytes = b""
    tag: str = ""
    error: dict[str, str] = field(default_factory=dict)


class Conversation:
    """What is known of one connection, from the messages that went over it."""

    def __init__(self) -> None:
        self.pid = 0
        self.status = TransactionStatus.UNKNOWN
        self.parameters: dict[str, str] = {}
        """What the server reports of its settings: `application_name` is among them."""
        self.has_copied = False
        """Whether the server took in what a client copied since it was ready last: then it may have passed
        over a Sync."""
        self._prepared: dict[bytes, _Prepared] = {}
        self._prepared_last = ""
        self._portals: dict[bytes, _Portal] = {}
        self._described: deque[_Prepared | None] = deque()
        """What the server is going to describe: a statement, or a portal (None)."""
        self._result = _Result()
        self._has_keys = False
        """Whether the session may have advisory locks of its own."""

    def begin(self) -> None:
        """Takes note that whatever was sent before is answered."""
        self._result = _Result()

    def read(self, messages: Sequence[Message], *, begins: bool = False) -> Batch:
        """Takes note of a batch that is about to be sent. Returns what it does.

        `begins`: whether its transaction has made no step yet. Then a statement that is prepared is one:
        the snapshot that the server takes to read it is that of a whole REPEATABLE READ transaction.
        """
        prepared = ""
        executed: list[tuple[str, str, int]] = []
        for message in messages:
            try:
                portal = self._sent(message)
            except WireError:
                continue
            if portal is None:
                prepared = self._prepared_last if message.type == b"P" else prepared
                continue
            self._result.fields = _fields(portal)
            text = portal.prepared.text
            if message.type == b"E" and executed and executed[-1][0] == text:
                executed[-1] = (*executed[-1][:2], executed[-1][2] + 1)
            else:
                executed.append((text, statements.with_values(text, _values(portal)), 1))
        kind, text, undoes = self._done_by(executed)
        whole = "; ".join(text for text, _, _ in executed)
        if begins and not executed and prepared and not statements.is_own(prepared):
            kind, text = "statement", prepared
        asked = (one for given in (whole, prepared) for one in statements.split(given) if takes_snapshot(one))
        return Batch(
            tuple(messages), kind, text, whole, bool(executed), prepared, undoes, next(asked, "")
        )  # fmt: skip

    def received(self, message: Message) -> None:
        """Takes note of what the server has sent."""
        with suppress(WireError):
            self._received(message)

    def fail_transaction(self) -> None:
        """Takes note of an error that the server tells before it tells its state."""
        if self.status == TransactionStatus.INTRANS:
            self.status = TransactionStatus.INERROR

    def ready(self) -> Message:
        """Returns the message with which the server would say now that it is ready."""
        letters = {status: letter for letter, status in _STATUSES.items()}
        return Message(b"Z", ready_for_query(letters.get(self.status, b"I")))

    def error(self) -> psycopg.Error | None:
        """Returns the error of the last batch, of psycopg's class for its SQLSTATE; None if it has none."""
        found = self._result.error
        if not found:
            return None
        try:
            class_ = psycopg.errors.lookup(found.get("C", ""))
        except KeyError:
            class_ = psycopg.DatabaseError
        return server_error(class_, found.get("M", ""), found.get("D", ""))

    def result(self) -> str:
        """Returns the result of the last batch, in short."""
        found = self._result
        words = found.tag.split()
        count = int(words[-1]) if words and words[-1].isdigit() else found.rows if not words else None
        if count == 1 and found.rows == 1 and len(found.fields) == 1:
            try:
                fields = Fields(found.first)
                fields.int16()
                (oid, format_), value = found.fields[0], fields.value()
            except WireError:
                return rows_text(1)
            return result_text(statements.shown((value, format_, oid)))
        return "" if count is None else rows_text(count)

    def _done_by(self, executed: Sequence[tuple[str, str, int]]) -> tuple[StepKind | None, str, bool]:
        """Returns of which kind a batch is, its statements that are steps, and whether it rolls back."""
        steps: list[str] = []
        has_failed = self.status == TransactionStatus.INERROR
        # Whether there is something to commit.
        has_work = self.status == TransactionStatus.INTRANS
        undoes = False
        for text, shown, count in executed:
            parts = statements.split(text)
            self._has_keys |= statements.holds_keys(text)
            for part in parts:
                if rolls_back(part) or (has_failed and is_commit(part)):
                    undoes, has_failed, has_work = True, False, False
                elif is_commit(part):
                    steps += [part] if has_work else []
                    has_work = False
                elif self._has_keys and statements.frees_keys(part):
                    steps.append(part)
                    self._has_keys = False
                elif not (has_failed or statements.is_own(part)):
                    alone = shown.rstrip("; \n\t") + (f" /* × {count} */" if count > 1 else "")
                    steps.append(part if len(parts) > 1 else alone)
                    has_work = True
        if not steps:
            return None, "", undoes
        kind: StepKind = "commit" if len(steps) == 1 and is_commit(steps[0]) else "statement"
        return kind, "; ".join(steps), undoes

    def _sent(self, message: Message) -> _Portal | None:
        """Takes note of a client's message. Returns what it has run."""
        fields = Fields(message.body)
        match message.type:
            case b"Q":
                return _Portal(_Prepared(_text(fields.string())))
            case b"P":
                name, text = fields.string(), _text(fields.string())
                types = tuple(fields.oid() for _ in range(fields.int16()))
                self._prepared[name] = _Prepared(text, types)
                self._prepared_last = text
            case b"B":
                name, statement = fields.string(), fields.string()
                formats = tuple(fields.int16() for _ in range(fields.int16()))
                values = tuple(fields.value() for _ in range(fields.int16()))
                results = tuple(fields.int16() for _ in range(fields.int16()))
                prepared = self._prepared.get(statement, _Prepared(_unknown(statement)))
                self._portals[name] = _Portal(prepared, values, formats, results)
            case b"D":
                is_portal, name = fields.byte() == b"P", fields.string()
                self._described.append(None if is_portal else self._prepared.get(name, _Prepared("")))
            case b"E":
                name = fields.string()
                return self._portals.get(name, _Portal(_Prepared(_unknown(name))))
            case b"C":
                closed = self._portals if fields.byte() == b"P" else self._prepared
                closed.pop(fields.string(), None)
            case b"F":
                return _Portal(_Prepared(f"function call {fields.oid()}"))
        return None

    def _received(self, message: Message) -> None:
        fields = Fields(message.body)
        match message.type:
            case b"K":
                self.pid = fields.int32()
            case b"S":
                name = fields.string().decode(errors="replace")
                self.parameters[name] = fields.string().decode(errors="replace")
            case b"Z":
                self.status = _STATUSES.get(fields.byte(), TransactionStatus.UNKNOWN)
                self.has_copied = False
                self._described.clear()
                if self.status == TransactionStatus.IDLE:
                    self._portals.clear()
            case b"t":
                types = tuple(fields.oid() for _ in range(fields.int16()))
                if self._described and self._described[0] is not None:
                    self._described[0].types = types
            case b"T":
                self._describe(_columns(fields))
            case b"n":
                self._describe(())
            case b"D":
                self._result.rows += 1
                if self._result.rows == 1:
                    self._result.first = message.body
            case b"C":
                self._result.tag = _text(fields.string())
            case b"E":
                self._result.error = error_fields(message.body)
                self._described.clear()
            case b"G" | b"W":
                self.has_copied = True

    def _describe(self, columns: tuple[tuple[int, int], ...]) -> None:
        described = self._described.popleft() if self._described else None
        if described is not None:
            described.fields = tuple(oid for oid, _ in columns)
        else:
            self._result.fields = columns
            self._result.rows = 0


def error_message(error: psycopg.Error) -> Message:
    """Returns an error as the server sends it."""
    text, _, detail = str(error).partition("\nDETAIL:  ")
    return Message(b"E", error_response("ERROR", error.sqlstate or "XX000", text, detail))


def _columns(fields: Fields) -> tuple[tuple[int, int], ...]:
    """Returns type and format of the columns of a RowDescription."""
    found = []
    for _ in range(fields.int16()):
        fields.string()
        fields.oid()
        fields.int16()
        oid = fields.oid()
        fields.int16()
        fields.int32()
        found.append((oid, fields.int16()))
    return tuple(found)


def _values(portal: _Portal) -> list[Value]:
    types, formats = portal.prepared.types, portal.formats
    return [
        (value, _at(formats, place), types[place] if place < len(types) else 0)
        for place, value in enumerate(portal.values)
    ]


def _fields(portal: _Portal) -> tuple[tuple[int, int], ...]:
    return tuple(
        (oid, _at(portal.result_formats, place)) for place, oid in enumerate(portal.prepared.fields or ())
    )


def _at(formats: Sequence[int], place: int) -> int:
    """Returns the format of a value: none is given (all are text), one for all, or one for each."""
    if not formats:
        return 0
    return formats[0] if len(formats) == 1 else formats[place] if place < len(formats) else 0


def _text(sent: bytes) -> str:
    return sent.decode(errors="replace")


def _unknown(name: bytes) -> str:
    return f"statement {_text(name)!r}"
