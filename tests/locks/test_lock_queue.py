"""The beginnings of a queue, against tuples of the same members."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.locks.lock_queue import LockQueue, QueuePrefix, is_within

members = st.lists(st.integers(1, 8), unique=True)


@given(members, st.integers(0, 8))
def test_a_beginning_is_a_sequence(queue: Sequence[int], length: int) -> None:
    alone = tuple(queue[:length])
    first = LockQueue(queue).first(min(length, len(queue)))
    assert tuple(first) == first[:] == alone
    assert len(first) == len(alone)
    assert [one in first for one in range(10)] == [one in alone for one in range(10)]
    assert [first[place] for place in range(-len(alone), len(alone))] == [*alone, *alone]
    for place in (len(alone), -len(alone) - 1):
        with pytest.raises(IndexError):
            first[place]


@given(members, st.integers(0, 8), st.slices(8))
def test_a_slice_of_it(queue: Sequence[int], length: int, some: slice) -> None:
    alone = tuple(queue[:length])
    assert LockQueue(queue).first(len(alone))[some] == alone[some]


@given(members, members, st.integers(0, 8), st.integers(0, 8))
def test_beginnings_of_two_queues(one: Sequence[int], two: Sequence[int], short: int, long: int) -> None:
    queues = LockQueue(one), LockQueue(two)

    def check(first: QueuePrefix[int], other: QueuePrefix[int]) -> None:
        assert (first == other) is (first[:] == other[:])
        assert is_within(first, other) is set(first).issubset(other)
        assert is_within(first[:], other) is set(first).issubset(other)
        if first == other:
            assert hash(first) == hash(other)

    shorts = [queue.first(min(short, len(queue.members))) for queue in queues]
    longs = [queue.first(min(long, len(queue.members))) for queue in queues]
    for first in (*shorts, *longs):
        for other in (*shorts, *longs):
            check(first, other)


def test_a_beginning_equals_no_tuple() -> None:
    assert LockQueue([1, 2]).first(2) != (1, 2)
