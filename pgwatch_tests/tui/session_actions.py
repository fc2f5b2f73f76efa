"""Actions on sessions: asked, done in a worker, told, and kept in a list of what was done."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

from textual.app import App

from pgwatch_tests.errors import PgwatchError, RefusedError
from pgwatch_tests.locks.actions.action import (
    Action,
    ActionResult,
    How,
    Outcome,
    SessionAction,
    action_on,
    is_idle,
)
from pgwatch_tests.locks.actions.waiters import Waiters
from pgwatch_tests.locks.diagnosis.evidence import patience_s
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.diagnosis.unblocking import Unblocking, unblocking
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party
from pgwatch_tests.reports.locks.action_text import doing, in_vain, key_frees, outcome_line, question
from pgwatch_tests.reports.render.detail_text import KeyName, Labelled, labelled
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import clock, zone
from pgwatch_tests.text.toned_text import Tone
from pgwatch_tests.tui.actions import tell
from pgwatch_tests.tui.advice_steps import AdviceSteps
from pgwatch_tests.tui.screens.advice import AdviceScreen
from pgwatch_tests.tui.screens.confirm import ConfirmScreen
from pgwatch_tests.tui.screens.text import TextScreen
from pgwatch_tests.tui.workers import start_worker

if TYPE_CHECKING:
    from pgwatch_tests.locks.actions.signal_rights import SignalRights

Severity = Literal["information", "warning", "error"]
Act = Callable[[Action], Awaitable[Outcome]]
ReadRights = Callable[[], "Awaitable[SignalRights | None]"]

_SEVERITIES: dict[ActionResult, Severity] = {
    "done": "information",
    "refused": "error",
    "unconfirmed": "warning",
    "in_vain": "warning",
}
_TONES: dict[ActionResult, Tone] = {
    "done": "good",
    "refused": "trouble",
    "unconfirmed": "warning",
    "in_vain": "warning",
}
_READING_S = 4.0
_READING_TROUBLE_S = 12.0
_MOST_KEPT = 200


@dataclass(frozen=True, slots=True)
class Done:
    """An action that was confirmed here, and what came of it: plain text."""

    at: datetime
    what: str
    outcome: str
    tone: Tone

    @property
    def lines(self) -> tuple[Labelled, Labelled]:
        """What was done at which local time, and below it the outcome."""
        time = clock(self.at).partition(" ")[0]
        return labelled(time, self.what, "lit"), labelled("", self.outcome, self.tone)


class SessionActions:
    """Asks before it acts. `act` may raise PgwatchError; `afterwards` is called once something was done.

    `read_rights` reads whose sessions may be signalled: before anything is asked, and then now and again.
    `keys` names the keys of commands; `newest` is the graph of the last poll, and `look` begins one.
    """

    def __init__(
        self,
        app: App[int],
        act: Act,
        afterwards: Callable[[], None],
        read_rights: ReadRights | None = None,
        keys: KeyName = str,
        newest: Callable[[], LockGraph | None] = lambda: None,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self._app = app
        self._keys = keys
        self._act = act
        self.afterwards = afterwards
        self._read_rights = read_rights
        self._rights: SignalRights | None = None
        self.newest = newest
        self.look = look
        self._begun: dict[str, datetime | None] = {}
        """What was confirmed, in words, and the time of the newest poll when it was over; None before."""
        self._last_advised: tuple[LockGraph, Party, Unblocking | None] | None = None
        self.done: deque[Done] = deque(maxlen=_MOST_KEPT)
        """The last ones, the newest first."""

    def ask(
        self,
        graph: LockGraph,
        parties: Sequence[Party],
        how: How,
        answered: Callable[[], None],
        *,
        marked: bool = False,
    ) -> None:
        """Asks whether to cancel the statements of `parties`, or to end these sessions.

        Of one that is blocked itself, the question is about its root blocker, with a key for itself; of one
        that was `marked`, about no other. Where
        all are idle, a cancel would do nothing: the question is about ending them, and says so. Once
        confirmed, `answered` is called.
        """
        if not self._can_ask():
            return
        actions: list[Action] = []
        refusals: list[str] = []
        for party in parties:
            try:
                actions.append(action_on(graph, party, how))
            except RefusedError as error:
                refusals.append(str(error))
        if refusals:
            tell(self._app, "; ".join(refusals), failed=True)
        if not actions:
            return
        note = ""
        if all(in_vain(graph, one) for one in actions):
            note = f"A cancel does nothing to {'an idle session' if len(actions) == 1 else 'idle sessions'}: "
            note += "only an end does."
            actions = [action_on(graph, one.party, "terminate") for one in actions]
        root = _root_first(graph, actions[0], how) if len(actions) == 1 and not marked else None
        asked, other = (tuple(actions), None) if root is None else ((root,), actions[0])
        if other is not None and self.refusal(graph, asked[0]) and not self.refusal(graph, other):
            asked, other = (other,), asked[0]
        self._ask(graph, asked, other, answered, note)

    def _ask(
        self,
        graph: LockGraph,
        asked: tuple[Action, ...],
        other: Action | None,
        answered: Callable[[], None],
        note: str = "",
    ) -> None:
        if self._tells_begun(graph, asked):
            return
        again = self._keys("follow-advice")
        screen = ConfirmScreen(graph, asked, other, partial(self.refusal, graph), note, again)
        self._app.push_screen(screen, partial(self._answered, answered))

    def _tells_begun(self, graph: LockGraph, asked: Sequence[Action]) -> bool:
        """Says so, if all of `asked` is being done already, or its effect isn't in `graph` yet."""
        if not all(self._is_begun(graph, one) for one in asked):
            return False
        # Its effect isn't drawn yet: the question would be about what is over.
        words = doing(asked[0]) if len(asked) == 1 else f"acting on {len(asked):,} sessions"
        tell(self._app, f"{words[0].upper()}{words[1:]} already: the next poll shows what came of it.")
        return True

    def _is_begun(self, graph: LockGraph, action: Action) -> bool:
        """Whether just that is being done, or was since `graph` was read."""
        if (words := doing(action)) not in self._begun:
            return False
        at = self._begun[words]
        return at is None or graph.snapshot.sampled_at <= at

    def follow_advice(self, graph: LockGraph, party: Party, answered: Callable[[], None]) -> None:
        """Asks whether to do what the advice about `party`, or its root blocker, says; or tells why not.

        Once confirmed, `answered` is called.
        """
        if not self._can_ask():
            return
        root = graph.root_of(party) or party
        try:
            action = self.advised_action(graph, root)
        except RefusedError as error:
            tell(self._app, str(error), failed=True)
            return
        if action is None:
            tell(self._app, self._no_advice(graph, root))
        elif not self._tells_begun(graph, (action,)):
            steps = AdviceSteps(self._app, self, Waiters.behind(graph, root), answered)
            self._app.push_screen(AdviceScreen(graph, action, steps.begin, self.refusal))

    def advised_action(self, graph: LockGraph, root: Party) -> Action | None:
        """What the advice about a root blocker does; None if it names no statement. Raises RefusedError."""
        advised = self._advised(graph, root)
        if advised is None:
            return None
        return action_on(graph, advised.party, "cancel" if advised.how == "cancel" else "terminate")

    def hint(self, graph: LockGraph, root: Party, key: str) -> str:
        """`A frees 6`: what the key of the advice does; empty where one better waits, or may not."""
        advised = None if patience_s(graph.sessions.get(root)) else self._advised(graph, root)
        if advised is None or self.why_not(graph, root, None) or self.refused_by_server(graph, root, None):
            return ""
        return key_frees(advised.frees, key)

    # What the server will refuse.

    async def look_at_rights(self) -> bool:
        """Reads now whose sessions may be signalled; returns whether that has changed.

        What was known stays if it can't be read in time.
        """
        before = self._rights
        if self._read_rights is not None:
            self._rights = await self._read_rights() or before
        return self._rights != before

    def refusal(self, graph: LockGraph, action: Action) -> str:
        """Why the server will refuse an action, and which GRANT helps; empty if it won't, as far as known."""
        return "" if self._rights is None else self._rights.refusal(graph, action)

    def why_not(self, graph: LockGraph, party: Party, how: How | None) -> str:
        """Why there is nothing that `how` (None: the advice) would do about `party`; empty if there is."""
        try:
            actions = self._actions_on(graph, party, how)
        except RefusedError as error:
            words = plain(str(error))
            return f"{words[0].upper()}{words[1:]}."
        return "" if actions else self._no_advice(graph, graph.root_of(party) or party)

    def refused_by_server(self, graph: LockGraph, party: Party, how: How | None) -> str:
        """Why the server would refuse what `how` would do about `party`, or its root; empty if not."""
        # Asked for each key of the footer, and with each move of the cursor.
        if self._rights is None or not self._rights.may_be_refused:
            return ""
        try:
            actions = self._actions_on(graph, party, how)
        except RefusedError:
            return ""
        refusals = [self.refusal(graph, one) for one in actions]
        if not refusals or not all(refusals):
            return ""
        last = actions[-1]
        who = last.who if isinstance(last, SessionAction) else str(last.party)
        return f"The server would refuse this for {plain(who)}: {plain(refusals[-1])}."

    def _actions_on(self, graph: LockGraph, party: Party, how: How | None) -> list[Action]:
        """What `how` (None: the advice) may do about `party` and its root.

        Raises RefusedError if there is nothing of that kind.
        """
        if how is None:
            advised = self.advised_action(graph, graph.root_of(party) or party)
            return [] if advised is None else [advised]
        action = action_on(graph, party, how)
        root = _root_first(graph, action, how)
        return [action] if root is None else [action, root]

    def _advised(self, graph: LockGraph, root: Party) -> Unblocking | None:
        """What frees those who wait for a root blocker; None if nobody does, or if no statement helps."""
        if self._last_advised is None or self._last_advised[:2] != (graph, root):
            found = unblocking(graph, root, diagnose(graph, root)) if graph.blocks(root) else None
            self._last_advised = graph, root, found
        return self._last_advised[2]

    def _no_advice(self, graph: LockGraph, root: Party) -> str:
        """Why there is nothing that an advice would do, and the key that ends it all the same."""
        who = plain(graph.who(root))
        if graph.blocks(root):
            return f"Nothing to do about {who} now: its advice names no statement."
        does = "ends its session" if root.pid else "rolls it back"
        return f"Nobody waits for {who}: {self._keys('terminate')} {does}."

    def show_done(self) -> None:
        """Opens the list of what was done."""
        lines = [line for one in self.done for line in one.lines]
        title = f"Done here, {zone(self.done[0].at)}" if self.done else "Done here"
        self._app.push_screen(TextScreen(title, lines or ["Nothing was done from this dashboard yet."]))

    def _can_ask(self) -> bool:
        # A question over another screen would be answered unread.
        return len(self._app.screen_stack) == 1

    def _answered(self, told: Callable[[], None], confirmed: tuple[Action, ...] | None) -> None:
        if confirmed:
            told()
            for one in confirmed:
                self.begin(one)
            words = doing(confirmed[0]) if len(confirmed) == 1 else f"acting on {len(confirmed):,} sessions"
            self._app.notify(f"{words} …", timeout=2, markup=False)
            start_worker(self._app, partial(self._work, confirmed), "act")

    async def _work(self, confirmed: Sequence[Action]) -> None:
        for action in confirmed:
            outcome = await self.carry_out(action)
            if outcome is not None:
                self.tell_outcome(outcome)
        self.afterwards()

    # The parts of an action, for whoever does one after the other.

    def begin(self, action: Action) -> None:
        """Notes that an action was confirmed."""
        self._begun[doing(action)] = None

    async def carry_out(self, action: Action) -> Outcome | None:
        """Does it, and keeps what came of it; returns None, and tells why, if that isn't known."""
        outcome = None
        try:
            outcome = await self._act(action)
        except PgwatchError as error:
            self._keep(action, plain(str(error)), "trouble")
            tell(self._app, f"{doing(action)}: {error}", failed=True)
        else:
            self._keep(action, outcome_line(outcome), _TONES[outcome.result])
        finally:
            self._end(action, outcome)
        return outcome

    def tell_outcome(self, outcome: Outcome) -> None:
        """Notifies of what came of an action."""
        self._app.notify(
            outcome_line(outcome),
            severity=_SEVERITIES[outcome.result],
            timeout=_READING_S if outcome.result == "done" else _READING_TROUBLE_S,
            markup=False,
        )

    def _end(self, action: Action, outcome: Outcome | None) -> None:
        self._begun.pop(doing(action), None)
        newest = self.newest()
        at = None if newest is None else newest.snapshot.sampled_at
        if outcome is not None and outcome.looked_at is not None:
            at = outcome.looked_at
        if at is not None:
            self._begun[doing(action)] = at

    def _keep(self, action: Action, outcome: str, tone: Tone) -> None:
        what = question(action).removesuffix("?")
        self.done.appendleft(Done(datetime.now(UTC), what, outcome, tone))


def _root_first(graph: LockGraph, action: Action, how: How) -> Action | None:
    """The action on the root blocker of who waits; None if it doesn't wait, or if its root can't be acted on.

    A cancel does nothing to an idle root: its session is to be ended.
    """
    root = graph.root_of(action.party)
    if root is None:
        return None
    session = graph.sessions.get(root)
    ends = how == "terminate" or session is None or is_idle(session.state)
    try:
        return action_on(graph, root, "terminate" if ends else "cancel")
    except RefusedError:
        return None
