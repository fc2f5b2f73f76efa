"""The wire format: cut anywhere, a stream of bytes is the same messages; nothing else is taken for one."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.testing.interleaving.proxy.wire import (
    CANCEL,
    GSS,
    SSL,
    Fields,
    Message,
    Splitter,
    WireError,
    error_fields,
    error_response,
    message,
    query,
    ready_for_query,
    start_code,
    start_parameters,
)

BODIES = st.binary(max_size=60)
TYPES = st.binary(min_size=1, max_size=1)


def start(code: int, body: bytes = b"") -> bytes:
    return struct.pack("!II", len(body) + 8, code) + body


@given(st.lists(st.tuples(TYPES, BODIES)), st.sampled_from([[], [SSL], [GSS, SSL]]), st.data())
def test_a_stream_is_the_same_messages_wherever_it_is_cut(
    sent: list[tuple[bytes, bytes]], asked: list[int], data: st.DataObject
) -> None:
    """Messages of types that nobody knows among them."""
    first = start(196610, b"user\0me\0_pq_.new\0x\0\0")
    stream = b"".join([*map(start, asked), first, *(message(*one) for one in sent)])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    splitter = Splitter("client")
    found = [
        one for begin, end in pairwise([0, *cuts, len(stream)]) for one in splitter.feed(stream[begin:end])
    ]

    assert b"".join(one.raw for one in found) == stream
    assert [(one.type, one.body) for one in found[len(asked) + 1 :]] == sent
    assert start_parameters(found[len(asked)].body) == {"user": "me", "_pq_.new": "x"}
    assert not splitter.has_rest


@given(st.binary(min_size=1, max_size=1), st.integers(0, 3) | st.integers(0x40000000, 0xFFFFFFFF))
def test_a_length_that_cannot_be_is_an_error(type_: bytes, length: int) -> None:
    with pytest.raises(WireError, match=f"a message of {length} bytes"):
        list(Splitter("server").feed(type_ + struct.pack("!I", length)))


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", struct.pack("!II", 7, CANCEL), bytes(8)])
def test_who_does_not_speak_it_is_told(first: bytes) -> None:
    with pytest.raises(WireError, match="doesn't speak PostgreSQL's protocol"):
        list(Splitter("client").feed(first))


def test_what_comes_before_an_error_is_a_message() -> None:
    found = Splitter("server").feed(ready_for_query(b"I") + bytes(9))
    assert next(found).raw == ready_for_query(b"I")
    with pytest.raises(WireError):
        next(found)


def test_a_request_to_cancel_is_no_session() -> None:
    (found,) = Splitter("client").feed(start(CANCEL, bytes(36)))
    assert start_code(found.body) == CANCEL


@given(BODIES, st.lists(st.sampled_from(["int16", "int32", "oid", "string", "value", "byte"])))
def test_fields_end_with_the_message(body: bytes, kinds: list[str]) -> None:
    fields = Fields(body)
    try:
        for kind in kinds:
            getattr(fields, kind)()
    except WireError:
        pass
    for read in (error_fields, start_parameters):
        try:
            read(body)
        except WireError:
            continue


def test_a_password_is_in_no_text() -> None:
    (found,) = Splitter("server").feed(message(b"p", b"hush\0"))
    assert repr(found) == "Message(type=b'p')"
    assert found.body == b"hush\0"


def test_what_is_made_is_read_again() -> None:
    (error,) = Splitter("server").feed(error_response("ERROR", "40P01", "deadlock détecté", "why"))
    assert error_fields(error.body) == {
        "S": "ERROR", "V": "ERROR", "C": "40P01", "M": "deadlock détecté", "D": "why",
    }  # fmt: skip
    assert Message(b"Q", query("SELECT 'é'")).body == b"SELECT '\xc3\xa9'\0"
