"""What `C` and `K` do: ask, have it done, tell what came of it. The keys go on working meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from textual.app import App

from pgwatch_tests.errors import PgwatchError, RefusedError
from pgwatch_tests.locks.actions.action import Action, How, Outcome, Result, action_on
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party
from pgwatch_tests.reports.locks.action_text import doing, outcome_line
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.tui.screens.confirm import ConfirmScreen

_SEVERITIES: dict[Result, Literal["information", "warning", "error"]] = {
    "done": "information",
    "refused": "error",
    "unconfirmed": "warning",
    "in_vain": "warning",
}
_READING_S = 15.0


def ask_and_act(
    app: App[int],
    act: Callable[[Action], Awaitable[Outcome]],
    graph: LockGraph,
    party: Party,
    how: How,
    afterwards: Callable[[], None],
) -> None:
    """Opens the question for `party` as it is in `graph`; `act` is called in a worker once confirmed."""
    try:
        action = action_on(graph, party, how)
    except RefusedError as error:
        app.notify(plain(str(error)), severity="warning", markup=False)
        return

    async def work(confirmed: Action) -> None:
        try:
            outcome = await act(confirmed)
        except PgwatchError as error:
            app.notify(
                f"{doing(confirmed)}: {plain(str(error))}", severity="error", timeout=_READING_S, markup=False
            )
        else:
            app.notify(
                outcome_line(outcome),
                severity=_SEVERITIES[outcome.result],
                timeout=_READING_S,
                markup=False,
            )
        afterwards()

    def answered(confirmed: Action | None) -> None:
        if confirmed is not None:
            app.notify(f"{doing(confirmed)} …", timeout=2, markup=False)
            app.run_worker(work(confirmed), name="act", group="act")

    app.push_screen(ConfirmScreen(graph, action), answered)
