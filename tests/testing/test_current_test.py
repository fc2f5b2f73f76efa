"""Who runs now: what is started by a test belongs to it, also after it has ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pgwatch_tests.testing.current_test import Owner, acting_for, current, running, track_threads_and_tasks


@pytest.fixture
def tracked() -> Iterator[None]:
    undo = track_threads_and_tasks()
    yield
    undo()


def test_nobody_runs() -> None:
    assert current() is None


def test_each_attempt_is_an_owner_of_its_own() -> None:
    first, second = Owner("test", "a.py::test", attempt=1), Owner("test", "a.py::test", attempt=2)
    assert first != second
    assert first.number < second.number
    with running(first), running(second):
        assert current() is second
    first.end()
    assert (first.has_ended, second.has_ended) == (True, False)


@pytest.mark.usefixtures("tracked")
def test_a_thread_belongs_to_the_test_that_started_it() -> None:
    owner, later = Owner("test", "a.py::one"), Owner("test", "a.py::two")
    go, seen = threading.Event(), list[Owner | None]()

    def work() -> None:
        go.wait()
        seen.append(current())
        # So does what it starts.
        inner = threading.Thread(target=lambda: seen.append(current()))
        inner.start()
        inner.join()

    with running(owner):
        thread = threading.Thread(target=work)
        thread.start()
    with running(later):
        go.set()
        thread.join()
    assert seen == [owner, owner]


@pytest.mark.usefixtures("tracked")
def test_a_call_in_a_pool_belongs_to_whoever_submitted_it() -> None:
    owners = [Owner("test", f"a.py::{number}") for number in range(3)]
    with ThreadPoolExecutor(1) as pool:
        with running(owners[0]):
            assert pool.submit(current).result() is owners[0]
        with running(owners[1]):
            assert pool.submit(current).result() is owners[1]
            waiting = threading.Event()
            pool.submit(waiting.wait)
            late = pool.submit(current)
        with running(owners[2]):
            waiting.set()
            assert late.result() is owners[1]
        assert pool.submit(current).result() is None, "though the first has started the thread"


@pytest.mark.usefixtures("tracked")
def test_a_task_belongs_to_the_test_that_started_it_in_whatever_loop() -> None:
    owner, later = Owner("test", "a.py::one"), Owner("test", "a.py::two")
    seen = dict[str, Owner | None]()

    async def background(go: asyncio.Event) -> None:
        await go.wait()
        seen["background"] = current()
        seen["its thread"] = await asyncio.to_thread(current)

    # One loop, and one context, for many tests: so does pytest-asyncio where a loop's scope is wider.
    with asyncio.Runner() as runner:

        async def first() -> tuple[asyncio.Event, asyncio.Task[None]]:
            go = asyncio.Event()
            return go, asyncio.create_task(background(go))

        async def second(go: asyncio.Event, task: asyncio.Task[None]) -> None:
            seen["test"] = current()
            go.set()
            await task
            seen["test, then"] = current()

        with running(owner):
            begun = runner.run(first())
        with running(later):
            runner.run(second(*begun))
    assert seen == {"test": later, "background": owner, "its thread": owner, "test, then": later}


@pytest.mark.usefixtures("tracked")
def test_a_server_that_a_fixture_started_works_for_the_test_that_runs() -> None:
    fixture, test, nested = (
        Owner("fixture", "fixture live"),
        Owner("test", "a.py::one"),
        Owner("fixture", "f"),
    )
    asked, answers = threading.Semaphore(0), list[Owner | None]()
    answered = threading.Semaphore(0)

    def serve() -> None:
        for _ in range(3):
            asked.acquire()
            answers.append(current())
            answered.release()

    with running(fixture):
        threading.Thread(target=serve, daemon=True).start()

    def ask() -> None:
        asked.release()
        answered.acquire()

    with running(test):
        ask()
    with running(nested):
        ask()
    ask()
    assert answers == [test, fixture, fixture]


def test_a_request_acts_for_the_test_that_sent_it() -> None:
    sender, test = Owner("test", "a.py::one"), Owner("test", "a.py::two")
    with running(test):
        with acting_for(sender):
            assert current() is sender
        assert current() is test


def test_what_is_patched_is_as_before_afterwards() -> None:
    before = threading.Thread.start, ThreadPoolExecutor.submit, asyncio.BaseEventLoop.create_task
    undo = track_threads_and_tasks()
    assert threading.Thread.start is not before[0]
    assert threading.Thread.start.__name__ == "start"
    undo()
    assert (threading.Thread.start, ThreadPoolExecutor.submit, asyncio.BaseEventLoop.create_task) == before


def test_whoever_patches_over_it_keeps_their_patch() -> None:
    before = threading.Thread.start
    undo = track_threads_and_tasks()
    ours = threading.Thread.start
    try:

        def theirs(self: threading.Thread) -> None:
            ours(self)

        threading.Thread.start = theirs  # type: ignore[method-assign]
        undo()
        assert threading.Thread.start is theirs
        seen = list[Owner | None]()
        with running(Owner("test", "a.py::one")):
            thread = threading.Thread(
                target=lambda: seen.append(getattr(thread, "_pgwatch_tests_owner", None))
            )
            thread.start()
            thread.join()
        assert seen == [None]
    finally:
        threading.Thread.start = before  # type: ignore[method-assign]
