"""The real clock goes on while Python's is frozen or moved."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import freezegun
import pytest
import time_machine

from pgwatch_tests.identity.real_clock import real_time_ms, real_time_ns
from pgwatch_tests.sweep.orphans.orphan_names import orphan_name


def test_it_is_the_time_of_day() -> None:
    before = time.time_ns()
    now = real_time_ns()
    assert before <= now <= time.time_ns()
    assert before // 1_000_000 <= real_time_ms()


@pytest.mark.parametrize(
    "frozen",
    [
        pytest.param(freezegun.freeze_time("2001-02-03"), id="freezegun"),
        pytest.param(time_machine.travel(datetime(2001, 2, 3, tzinfo=UTC), tick=False), id="time-machine"),
    ],
)
def test_whoever_freezes_the_time_does_not_reach_it(frozen: AbstractContextManager[object]) -> None:
    before = time.time_ns()
    with frozen:
        assert time.time() == 981158400.0
        inside, name = real_time_ns(), orphan_name()
    assert before <= inside <= time.time_ns()
    assert before // 1_000_000 <= int(name.split("_")[1]) <= time.time_ns() // 1_000_000
