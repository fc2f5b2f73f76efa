from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pgwatch_tests.task import CompoundTask


class CancelledError(Exception):
    """What a cancelled task raises."""


class Step:
    """A task that ends once it is told how, and asks for it if `ask` does so before."""

    def __init__(self, ask: Callable[[], None] = lambda: None) -> None:
        self._ask = ask
        self._told: list[str] = []
        self._is_told = threading.Event()
        self.began = threading.Event()

    def run(self) -> str:
        self.began.set()
        self._ask()
        assert self._is_told.wait(20), "nobody ended it"
        if "cancel" in self._told:
            raise CancelledError
        return self._told[0]

    def stop(self) -> None:
        self._told.append("stop")
        self._is_told.set()

    def cancel(self) -> None:
        self._told.append("cancel")
        self._is_told.set()


def test_what_runs_is_told_to_stop() -> None:
    whole = CompoundTask()

    assert whole.run_task(Step(whole.stop)) == "stop"
    assert whole.is_stopped
    assert not whole.is_cancelled


def test_what_runs_is_cancelled() -> None:
    whole = CompoundTask()

    with pytest.raises(CancelledError):
        whole.run_task(Step(whole.cancel))
    assert whole.is_stopped
    assert whole.is_cancelled


def test_what_has_not_begun_is_told_when_it_begins() -> None:
    whole = CompoundTask()
    whole.stop()

    assert whole.run_task(Step()) == "stop"


def test_a_cancel_before_the_beginning_outweighs_a_stop() -> None:
    whole = CompoundTask()
    whole.stop()
    whole.cancel()
    whole.stop()

    with pytest.raises(CancelledError):
        whole.run_task(Step())
    assert whole.is_cancelled


def test_all_that_run_at_once_are_told() -> None:
    whole, steps, ends = CompoundTask(), [Step(), Step()], list[str]()
    threads = [threading.Thread(target=lambda one=one: ends.append(whole.run_task(one))) for one in steps]
    for thread in threads:
        thread.start()
    for step in steps:
        assert step.began.wait(20)
    whole.stop()
    for thread in threads:
        thread.join(20)

    assert ends == ["stop", "stop"]


def test_what_has_ended_is_told_nothing_more() -> None:
    whole = CompoundTask()
    ended, later = Step(whole.stop), Step()
    whole.run_task(ended)
    whole.cancel()

    assert ended._told == ["stop"]
    with pytest.raises(CancelledError):
        whole.run_task(later)


def test_a_task_of_tasks_passes_it_on() -> None:
    outer, inner = CompoundTask(), CompoundTask()

    class Inner:
        stop, cancel = inner.stop, inner.cancel

        def run(self) -> str:
            return inner.run_task(Step(outer.stop))

    assert outer.run_task(Inner()) == "stop"
