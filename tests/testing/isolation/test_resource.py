"""Resources that threads and tasks enter at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pgwatch_tests.testing.isolation.resource import Resource


class Places:
    """Numbers that are there while their block lasts; each waits until it may be made."""

    def __init__(self) -> None:
        self.there: set[int] = set()
        self.may_be_made = threading.Event()
        self.may_be_made.set()
        self.is_asked = threading.Event()
        self._made = 0

    @contextmanager
    def made(self) -> Iterator[int]:
        self.is_asked.set()
        self.may_be_made.wait()
        self._made += 1
        number = self._made
        self.there.add(number)
        yield number
        self.there.remove(number)


async def test_each_task_removes_its_own() -> None:
    places = Places()
    resource = Resource(places.made)
    first_is_gone = asyncio.Event()
    both = asyncio.Barrier(2)

    async def first() -> None:
        async with resource:
            await both.wait()
        first_is_gone.set()

    async def second() -> None:
        async with resource as number:
            await both.wait()
            await first_is_gone.wait()
            assert places.there == {number}

    # Each of them enters last once.
    await asyncio.gather(first(), second())
    first_is_gone.clear()
    await asyncio.gather(second(), first())
    assert places.there == set()


def test_each_thread_removes_its_own() -> None:
    places = Places()
    resource = Resource(places.made)
    entered, left = threading.Event(), threading.Event()

    def other() -> None:
        with resource:
            entered.set()
            left.wait()

    thread = threading.Thread(target=other)
    with resource as number:
        thread.start()
        entered.wait()
        assert len(places.there) == 2
    assert number not in places.there
    assert len(places.there) == 1
    left.set()
    thread.join()
    assert places.there == set()


async def test_the_task_of_a_tear_down_removes_what_that_of_the_set_up_made() -> None:
    places = Places()
    resource = Resource(places.made)
    await asyncio.create_task(resource.__aenter__())
    async with resource as number:
        await asyncio.create_task(resource.__aexit__(None, None, None))
        assert places.there == {number}
    assert places.there == set()


@pytest.mark.parametrize("is_made_before", [False, True])
def test_a_cancelled_task_leaves_nothing(is_made_before: bool) -> None:
    places = Places()
    resource = Resource(places.made)

    async def enter() -> None:
        async with resource:
            await asyncio.Event().wait()

    async def main() -> None:
        places.may_be_made.clear()
        entering = asyncio.create_task(enter())
        await asyncio.to_thread(places.is_asked.wait)
        if is_made_before:
            places.may_be_made.set()
            # The thread is done, and the task doesn't know it yet.
            while not places.there:
                pass
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        places.may_be_made.set()

    # Its end waits for the threads.
    asyncio.run(main())
    assert places.there == set()
