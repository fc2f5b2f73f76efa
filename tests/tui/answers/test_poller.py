"""How a poller sleeps after polls that fail."""

from __future__ import annotations

import asyncio

from pgwatch_tests.errors import ConnectionLostError
from pgwatch_tests.tui.answers.poller import Polled, Poller, PollFailed


async def test_pauses_grow_up_to_a_limit_and_begin_anew_after_a_poll_that_works() -> None:
    answers = iter("ffffff.ff")
    seen: list[float | str] = []
    over = asyncio.Event()

    async def read() -> str:
        answer = next(answers, "")
        if not answer:
            over.set()
            await asyncio.Event().wait()
        if answer == "f":
            raise ConnectionLostError("gone")
        return answer

    def tell(outcome: Polled[str] | PollFailed) -> None:
        seen.append(outcome.retry_in_s if isinstance(outcome, PollFailed) else outcome.value)
        poller.poll_now()

    poller = Poller(read, tell, lambda _, __: 0.0, lambda: 0.0)
    polling = asyncio.create_task(poller.run())
    await over.wait()
    polling.cancel()
    assert seen == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, ".", 0.5, 1.0]


async def test_a_poll_that_is_asked_for_during_a_poll_follows_it_even_if_paused() -> None:
    begun = [asyncio.Event() for _ in range(3)]
    goes_on = [asyncio.Event() for _ in range(3)]
    polls = iter(range(3))

    async def read() -> int:
        poll = next(polls)
        begun[poll].set()
        await goes_on[poll].wait()
        return poll

    poller = Poller(read, lambda _: None, lambda _, __: 1000.0, lambda: 0.0)
    polling = asyncio.create_task(poller.run())
    async with asyncio.timeout(10):
        await begun[0].wait()
        poller.poll_now()
        goes_on[0].set()
        await begun[1].wait()
        poller.toggle()
        poller.poll_now()
        goes_on[1].set()
        await begun[2].wait()
    polling.cancel()
