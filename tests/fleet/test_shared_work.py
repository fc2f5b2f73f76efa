"""Work on several servers: who is next, and how it ends."""

from __future__ import annotations

import threading

import pytest

from pgwatch_tests.fleet.shared_work import FairQueue, SharedWork
from tests.waiting import PATIENCE_S, wait_until


def test_the_server_with_fewest_in_hand_is_next() -> None:
    queue: FairQueue[int] = FairQueue()
    for server in ("slow", "quick", "other"):
        for number in range(3):
            queue.add(server, number)

    assert [queue.take() for _ in range(4)] == [("slow", 0), ("quick", 0), ("other", 0), ("slow", 1)]
    queue.done("quick")
    queue.done("other")
    # The slow one has two in hand: it gets no third while others have fewer.
    assert [queue.take() for _ in range(4)] == [("quick", 1), ("other", 1), ("quick", 2), ("other", 2)]
    assert queue.take() == ("slow", 2)
    assert queue.take() is None


def test_a_server_that_hangs_holds_nobody_up() -> None:
    released = threading.Event()
    at_once: list[int] = []
    running = set[tuple[str, int]]()
    lock = threading.Lock()

    def work(server: str, item: int) -> str:
        with lock:
            running.add((server, item))
            at_once.append(len(running))
        if server == "hangs":
            assert released.wait(PATIENCE_S)
        with lock:
            running.remove((server, item))
        return f"{server} {item}"

    shared: SharedWork[int, str] = SharedWork(work, 3)
    for number in range(20):
        shared.add("hangs", number)
        shared.add("answers", number)
    seen = []
    for server, item, result in shared.outcomes():
        assert result == f"{server} {item}"
        seen.append(server)
        if seen.count("answers") == 20 and not released.is_set():
            # At most two of three were ever with the one that hangs.
            assert seen == ["answers"] * 20
            released.set()
        if server == "answers" and item == 19:
            shared.add("late", 1)

    assert seen.count("hangs") == 20
    assert "late" in seen
    assert max(at_once) == 3


def test_an_error_ends_all() -> None:
    class Waiting:
        def __init__(self) -> None:
            self.begun, self.ended = threading.Event(), threading.Event()

        def run(self) -> int:
            self.begun.set()
            assert self.ended.wait(PATIENCE_S)
            return 0

        def stop(self) -> None: ...

        def cancel(self) -> None:
            self.ended.set()

    waiting = Waiting()

    def work(server: str, item: int) -> int:
        if server == "waits":
            return shared.run_task(waiting)
        assert waiting.begun.wait(PATIENCE_S)
        raise OSError("an error")

    shared: SharedWork[int, int] = SharedWork(work, 2)
    shared.add("waits", 1)
    shared.add("fails", 1)
    with pytest.raises(OSError, match="an error"):
        list(shared.outcomes())

    wait_until(waiting.ended.is_set)
