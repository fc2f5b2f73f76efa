"""PostgreSQL's wire format, as far as a proxy needs it: bytes cut into messages, and their fields.

After the manual's chapters "Message Formats" and "Message Flow". A type that isn't known here is a message
like any other, so that what later versions add passes through.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Literal

CANCEL = 80877102
SSL = 80877103
GSS = 80877104
_NO_START = frozenset({SSL, GSS})
_CHUNK = 1 << 16
_LONGEST_START = 10_000
"""MAX_STARTUP_PACKET_LENGTH, src/include/libpq/pqcomm.h."""
_LONGEST = 0x3FFFFFFF
"""MaxAllocSize, src/include/utils/memutils.h."""


class WireError(ValueError):
    """Bytes that are no message."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was sent. Its text is that of its type alone: the body may be a password."""

    type: bytes
    """One byte; empty for what comes before a session has begun."""
    raw: bytes = field(repr=False)
    """All of it, type and length included."""

    @property
    def body(self) -> bytes:
        """What comes behind type and length."""
        return self.raw[5:] if self.type else self.raw[4:]


class Splitter:
    """Cuts what one side sends into messages, wherever the bytes are cut in transport."""

    def __init__(self, side: Literal["client", "server"]) -> None:
        self._rest = bytearray()
        self._is_typed = side == "server"

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yields the messages that are complete with `data`. Raises WireError for a length that can't be."""
        self._rest += data
        at = 0
        try:
            while (length := self._length(at)) is not None and len(self._rest) - at >= length:
                raw = bytes(self._rest[at : at + length])
                at += length
                if self._is_typed:
                    yield Message(raw[:1], raw)
                else:
                    self._is_typed = start_code(raw[4:]) not in _NO_START
                    yield Message(b"", raw)
        finally:
            del self._rest[:at]

    @property
    def has_rest(self) -> bool:
        """Whether a message has begun that isn't complete."""
        return bool(self._rest)

    def _length(self, at: int) -> int | None:
        """Returns how long the message is that begins here, if it is told already."""
        head = 1 if self._is_typed else 0
        if len(self._rest) - at < head + 4:
            return None
        length: int = struct.unpack_from("!I", self._rest, at + head)[0]
        least, most = (4, _LONGEST) if self._is_typed else (8, _LONGEST_START)
        if not least <= length <= most:
            raise WireError(f"a message of {length} bytes: the sender doesn't speak PostgreSQL's protocol")
        return head + length


async def messages_from(
    reader: asyncio.StreamReader, side: Literal["client", "server"]
) -> AsyncIterator[Message]:
    """Yields what one side sends, until it closes. Raises WireError, and OSError for a lost connection."""
    splitter = Splitter(side)
    while data := await reader.read(_CHUNK):
        for one in splitter.feed(data):
            yield one


class Fields:
    """Reads the fields of a message's body, one after the other. Raises WireError where there is none."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def int16(self) -> int:
        """Returns a number of two bytes."""
        return self._number("!h")

    def int32(self) -> int:
        """Returns a number of four bytes."""
        return self._number("!i")

    def oid(self) -> int:
        """Returns an object's id."""
        return self._number("!I")

    def string(self) -> bytes:
        """Returns a string without the NUL at its end."""
        end = self._body.find(b"\0", self._at)
        if end < 0:
            raise WireError("a string without an end")
        found = self._body[self._at : end]
        self._at = end + 1
        return found

    def value(self) -> bytes | None:
        """Returns a value with its length ahead; None for NULL."""
        length = self.int32()
        if length < 0:
            return None
        if self._at + length > len(self._body):
            raise WireError("a value without an end")
        found = self._body[self._at : self._at + length]
        self._at += length
        return found

    def byte(self) -> bytes:
        """Returns a byte."""
        if self._at >= len(self._body):
            raise WireError("a message without an end")
        self._at += 1
        return self._body[self._at - 1 : self._at]

    def _number(self, form: str) -> int:
        try:
            found: int = struct.unpack_from(form, self._body, self._at)[0]
        except struct.error:
            raise WireError("a number without an end") from None
        self._at += struct.calcsize(form)
        return found


def start_code(body: bytes) -> int:
    """Returns what a message ahead of a session asks for: CANCEL, SSL, GSS, or the protocol's version."""
    return Fields(body).oid()


def start_parameters(body: bytes) -> dict[str, str]:
    """Returns the parameters of a session that is asked for: user, database … Raises WireError."""
    fields = Fields(body)
    fields.oid()
    found = {}
    while name := fields.string():
        found[name.decode(errors="replace")] = fields.string().decode(errors="replace")
    return found


def error_fields(body: bytes) -> dict[str, str]:
    """Returns the fields of an ErrorResponse by their letters: `C` is the SQLSTATE, `M` the message."""
    fields = Fields(body)
    found = {}
    while (letter := fields.byte()) != b"\0":
        found[letter.decode("latin-1")] = fields.string().decode(errors="replace")
    return found


def message(type_: bytes, body: bytes = b"") -> bytes:
    """Returns a message as it is sent."""
    return type_ + struct.pack("!I", len(body) + 4) + body


def query(text: str) -> bytes:
    """Returns a simple Query."""
    return message(b"Q", text.encode() + b"\0")


def error_response(severity: str, sqlstate: str, text: str, detail: str = "") -> bytes:
    """Returns an ErrorResponse."""
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": text} | ({"D": detail} if detail else {})
    body = b"".join(letter.encode() + value.encode() + b"\0" for letter, value in fields.items())
    return message(b"E", body + b"\0")


def ready_for_query(status: bytes) -> bytes:
    """Returns a ReadyForQuery: `I` outside of a transaction, `T` in one, `E` in one that has failed."""
    return message(b"Z", status)
