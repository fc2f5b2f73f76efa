"""Steps of an advice: does one, looks at what it led to, and has the next one asked about."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from textual.app import App

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.locks.actions.action import Action
from pgwatch_tests.locks.actions.waiters import Waiters
from pgwatch_tests.locks.diagnosis.evidence import patience_s
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.reports.locks.action_text import may_go_on, since_freed, waiting_on
from pgwatch_tests.tui.screens.advice import AdviceScreen
from pgwatch_tests.tui.workers import start_worker

if TYPE_CHECKING:
    from pgwatch_tests.tui.session_actions import SessionActions

_HAD_EFFECT = ("done", "in_vain")
"""After these another step may help: also where all still wait, for others now."""
_LOOK_EVERY_S = 0.05
_POLL_EVERY_S = 0.25
_POLLED_WITHIN_S = 5.0


_Step = tuple[LockGraph, Action, str, str]
"""A step as it was seen, what the one before has left, and what else to think of."""


class AdviceSteps:
    """Does what an advice says until its `waiters` are free, as far as each step is confirmed.

    A step is asked about as a poll saw it after the one before: with the identities of then. `answered` is
    called once the first one is confirmed.
    """

    def __init__(
        self, app: App[int], actions: SessionActions, waiters: Waiters, answered: Callable[[], None]
    ) -> None:
        self._app = app
        self._actions = actions
        self._waiters = waiters
        self._answered = answered

    def begin(self, screen: AdviceScreen, action: Action) -> None:
        """Begins a step that was confirmed."""
        self._answered()
        self._actions.begin(action)
        start_worker(self._app, partial(self._do, screen, action), "act")

    async def _do(self, screen: AdviceScreen, action: Action) -> None:
        outcome = await self._actions.carry_out(action)
        self._actions.afterwards()
        following = None
        if outcome is not None and outcome.result in _HAD_EFFECT and outcome.looked_at is not None:
            following = await self._following(screen, outcome.looked_at)
        if following is not None and self._is_open(screen):
            screen.ask_next(*following)
            return
        if self._is_open(screen):
            screen.action_leave()
        if outcome is not None:
            self._actions.tell_outcome(outcome)

    async def _following(self, screen: AdviceScreen, at: datetime) -> _Step | None:
        """The next step, as seen later than `at`; None without."""
        while (graph := await self._seen_after(at, screen)) is not None:
            root = self._waiters.blocker(graph)
            if root is None:
                return None
            if not (left_s := patience_s(graph.sessions.get(root))):
                try:
                    action = self._actions.advised_action(graph, root)
                except RefusedError:
                    return None
                if action is None:
                    return None
                if self._waiters.has_freed(graph, root):
                    return graph, action, "", since_freed(graph, root)
                return graph, action, waiting_on(len(self._waiters.still(graph))), ""
            screen.say(may_go_on(graph, root))
            await asyncio.sleep(left_s)
            at = graph.snapshot.sampled_at
        return None

    async def _seen_after(self, at: datetime, screen: AdviceScreen) -> LockGraph | None:
        """The first poll later than `at`, by the server's clock, that is sure of the waiters; None if the
        question was closed, or if there was none in time."""
        now_s = time.monotonic()
        until_s, poll_at_s = now_s + _POLLED_WITHIN_S, now_s
        while self._is_open(screen) and now_s < until_s:
            graph = self._actions.newest()
            if graph is not None and graph.snapshot.sampled_at > at and self._waiters.is_settled(graph):
                return graph
            if now_s >= poll_at_s:
                self._actions.look()
                poll_at_s = now_s + _POLL_EVERY_S
            await asyncio.sleep(_LOOK_EVERY_S)
            now_s = time.monotonic()
        return None

    def _is_open(self, screen: AdviceScreen) -> bool:
        return screen in self._app.screen_stack
