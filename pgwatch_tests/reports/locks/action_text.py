"""An action on a session or prepared transaction in words: its question, the facts, and its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pgwatch_tests.locks.actions.action import Action, Outcome, SessionAction, is_idle
from pgwatch_tests.locks.diagnosis.evidence import patience
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.release import release
from pgwatch_tests.locks.model import Party, Session
from pgwatch_tests.locks.waits import statement_text
from pgwatch_tests.reports.locks.lock_tree import lock_since
from pgwatch_tests.reports.locks.test_labels import name_of
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import one_line, plain
from pgwatch_tests.text.times import clock

_QUERY = 200


def question(action: Action, statement: str = "statement", who: str = "") -> str:
    """`End the session of test_a (gw0, pid 4711)?`; `statement` is what a cancel is about, `ALTER TABLE`."""
    if not isinstance(action, SessionAction):
        return f"Roll back the prepared transaction {plain(action.gid)}?"
    what = "End the session" if action.how == "terminate" else f"Cancel the {plain(statement)}"
    return f"{what} of {who or plain(action.who)}?"


def question_about(graph: LockGraph, action: Action, waiter: Action | None = None) -> str:
    """The question about an action, with the kind of statement that a cancel is about: `ALTER TABLE`.

    With `waiter`, which was asked about and waits for it, that one is named first, and that it waits:
    `test_b (gw1, pid 3) waits for test_a (gw0, pid 2). End the session of test_a (gw0)?`
    """
    kind = _kind(graph, action)
    if waiter is None:
        return question(action, kind)
    asks = question(action, kind, _short(graph, action.party))
    return f"{_whom(waiter)} waits for {_whom(action)}. {asks}"


def _kind(graph: LockGraph, action: Action) -> str:
    session = graph.sessions.get(action.party)
    query = session.query.removeprefix("autovacuum: ") if session else ""
    return statement_text.kind(query) or "statement"


def brief_question(graph: LockGraph, action: Action) -> str:
    """`End the session of test_a (gw0)?`: as few words as tell whom it is about."""
    return question(action, _kind(graph, action), _short(graph, action.party))


def brief_consequence(graph: LockGraph, action: Action) -> str:
    """`Frees 1 of 3. Its transaction is lost.`, of all that wait behind its root blocker."""
    freed = len(graph.wait_for_alone(action.party))
    waiting = graph.blocks(graph.root_of(action.party) or action.party)
    if not freed:
        found = release(graph, action.party)
        then = f": then {_short(graph, found.next)} blocks {found.blocks:,}" if found.next else ""
        frees = f"Frees nobody yet{then}."
    else:
        frees = f"Frees {freed:,} of {waiting:,}." if freed < waiting else f"Frees all {waiting:,}."
        frees = (
            {1: "Frees the only one that waits.", 2: "Frees both."}[freed] if freed == waiting <= 2 else frees
        )
    return " ".join(filter(None, (frees, cost(graph, action))))


def cost(graph: LockGraph, action: Action) -> str:
    """What is lost by an action, as a sentence; empty where `advice` says that."""
    if not isinstance(action, SessionAction):
        return ""
    if action.how == "cancel":
        kind = plain(_kind(graph, action))
        return "" if in_vain(graph, action) else f"{kind} fails." if kind.isupper() else f"The {kind} fails."
    session = graph.sessions.get(action.party)
    if session is not None and session.state == "idle":
        return "Its connection is lost."
    if session is None or session.hidden or session.xact_age_s is None:
        return "What it has not committed is lost."
    return "Its transaction is lost."


def key_frees(number: int, key: str) -> str:
    """`A frees 6`: the key that does what the advice says, and how many can continue then."""
    return f"{key} frees {number:,}" if number else f"{key} frees them in steps"


def waiting_on(number: int) -> str:
    """`3 still wait.`"""
    return f"{number:,} still {'waits' if number == 1 else 'wait'}."


def may_go_on(graph: LockGraph, party: Party) -> str:
    """`test_a (gw0) may still go on …`: of who was freed a moment ago."""
    return f"{_short(graph, party)} may still go on …"


def since_freed(graph: LockGraph, party: Party) -> str:
    """`Idle since it was freed.`: of who waited itself before, and so may be innocent."""
    session = graph.sessions.get(party)
    is_active = session is not None and session.state == "active"
    return f"{'Running' if is_active else 'Idle'} since it was freed."


def under_way(graph: LockGraph, action: Action) -> str:
    """`Ending the session of test_a (gw0) …`: a brief question as what is being done."""
    words = brief_question(graph, action).removesuffix("?")
    for verb, doing_it in (("End", "Ending"), ("Cancel", "Cancelling"), ("Roll", "Rolling")):
        if words.startswith(f"{verb} "):
            words = f"{doing_it}{words.removeprefix(verb)}"
    return f"{words} …"


def question_of_all(actions: Sequence[Action]) -> str:
    """`End 3 sessions: pid 1, 2 and 3?`; of one, its question; of both kinds, one question about all."""
    sessions = [one for one in actions if isinstance(one, SessionAction)]
    prepared = [one for one in actions if not isinstance(one, SessionAction)]
    parts = []
    if len(sessions) == 1:
        parts.append(question(sessions[0]).removesuffix("?"))
    elif sessions:
        what = "End" if sessions[0].how == "terminate" else "Cancel the statements of"
        parts.append(f"{what} {len(sessions):,} sessions: pid {_listed([str(one.pid) for one in sessions])}")
    if len(prepared) == 1:
        parts.append(question(prepared[0]).removesuffix("?"))
    elif prepared:
        names = _listed([plain(one.gid) for one in prepared])
        parts.append(f"Roll back {len(prepared):,} prepared transactions: {names}")
    return f"{'; '.join([*parts[:1], *(one[0].lower() + one[1:] for one in parts[1:])])}?"


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def doing(action: Action) -> str:
    """`cancelling the statement of pid 4711`"""
    if not isinstance(action, SessionAction):
        return f"rolling back the prepared transaction {plain(action.gid)}"
    return f"{'ending' if action.how == 'terminate' else 'cancelling the statement of'} pid {action.pid}"


def facts(graph: LockGraph, action: Action) -> list[tuple[str, str]]:
    """Whom it is about, as it was seen in `graph`, and what that waits for: name and plain text.

    Times of day, since the facts are read while the clock goes on.
    """
    pairs = _session_facts(graph, action) if isinstance(action, SessionAction) else _prepared(graph, action)
    pairs.append(("wait", lock_since(graph, action.party)))
    return [(name, words) for name, words in pairs if words]


def consequence(graph: LockGraph, action: Action, again: str = "") -> str:
    """What an action frees, and who blocks the others then: a sentence each.

    `Frees 1 of 3 sessions at once. Then test_b (gw1) still blocks 2: A again.` `again` is the key that asks
    about the next one; empty for none.
    """
    if not graph.blocks(action.party):
        if root := graph.root_of(action.party):
            return f"Frees nobody: it waits for {_short(graph, root)} itself."
        if other := graph.shares_row_with(action.party):
            return f"Frees nobody yet: {_short(graph, other)} has locked the same row."
        return "Nobody waits for it."
    if in_vain(graph, action):
        return "Frees nobody."
    found = release(graph, action.party)
    frees = f"Frees {freed_at_once(graph, action.party)}."
    if found.next is None:
        return frees if found.waiting else f"{frees} Then nothing is blocked."
    who, number = _short(graph, found.next), found.blocks
    key = f": {again} again" if again else ""
    if found.next_is_freed:
        waits = "waits" if number == 1 else "wait"
        return f"{frees} Then {number:,} {waits} for {who}{key and f'{key} if it stays'}."
    still = "still blocks" if found.next == graph.root_of(action.party) else "blocks"
    return f"{frees} Then {who} {still} {number:,}{key}."


def advice(graph: LockGraph, action: Action, instead: str) -> list[str]:
    """What to think of before: a line each. `instead` says how to end the session: `press K`."""
    if not isinstance(action, SessionAction):
        return ["Its changes will be lost; COMMIT PREPARED in its database keeps them."]
    lines = _just_begun(graph, action.party)
    if in_vain(graph, action):
        lines.append(f"Cancel does nothing to an idle session: {instead}.")
    session = graph.sessions.get(action.party)
    if session is not None and session.is_autovacuum:
        why = "it prevents transaction id wraparound" if session.prevents_wraparound else "it is autovacuum"
        lines.append(f"The server will start it again for this table: {why}.")
    if action.backend_start is None:
        lines.append(
            "Its start is hidden from this role (needs pg_monitor): it is recognised by its role, database "
            "and application name."
        )
    return lines


def in_vain(graph: LockGraph, action: Action) -> bool:
    """Whether it cancels a session that runs no statement: the server does nothing then."""
    session = graph.sessions.get(action.party)
    return (
        isinstance(action, SessionAction)
        and action.how == "cancel"
        and session is not None
        and is_idle(session.state)
    )


def cost_of_all(graph: LockGraph, actions: Sequence[Action]) -> str:
    """What is lost by several actions, as a sentence; empty where `advice_of_all` says that.

    `The transactions of 2 of these are lost.`
    """
    ended = [one for one in actions if isinstance(one, SessionAction) and one.how == "terminate"]
    sessions = [graph.sessions.get(one.party) for one in ended]
    idle = [one for one in sessions if one is not None and one.state == "idle"]
    if not ended:
        cancelled = [one for one in actions if isinstance(one, SessionAction) and not in_vain(graph, one)]
        return "Their statements fail." if len(cancelled) > 1 else "Its statement fails." * len(cancelled)
    if len(idle) == len(ended):
        return "Their connections are lost."
    if idle:
        return "Their connections are lost, and what they have not committed."
    return "Their transactions are lost."


def advice_of_all(graph: LockGraph, actions: Sequence[Action], instead: str) -> list[str]:
    """What to think of before several actions; `instead` says how to end the sessions: `press K`."""
    lines = []
    idle = [one for one in actions if in_vain(graph, one)]
    if idle:
        lines.append(f"Cancel does nothing to idle sessions ({len(idle):,} of these): {instead}.")
    if not all(isinstance(one, SessionAction) for one in actions):
        lines.append("Changes of a prepared transaction will be lost; COMMIT PREPARED keeps them.")
    return lines


def _just_begun(graph: LockGraph, party: Party) -> list[str]:
    """That whoever blocks, the party or its root, may go on without being told to."""
    root = graph.root_of(party) or party
    just_begun = patience(graph.sessions.get(root)) if graph.blocks(root) else ""
    who = "it" if root == party else plain(graph.who(root))
    # It is read a while later.
    return [f"When you asked, {who} had {just_begun.removeprefix('has ')}."] if just_begun else []


def key_of_waiter(waiter: Action) -> str:
    """What the key does that swaps the question to the waiter: `test_b (gw1, pid 3) instead`."""
    return f"{_whom(waiter)} instead"


def _whom(action: Action) -> str:
    return plain(action.who if isinstance(action, SessionAction) else str(action.party))


def _short(graph: LockGraph, party: Party) -> str:
    """`test_b (gw1)`, `migrations`: without the pid, where the name tells it apart."""
    session, who = graph.sessions.get(party), plain(graph.who(party))
    if session is None or not session.application_name:
        return who
    names = [_name(one) for one in graph.sessions.values()]
    if names.count(_name(session)) > 1:
        return who
    before, _, after = who.rpartition(f"pid {party.pid}")
    before, after = before.removesuffix(", "), after if before.endswith(", ") else after.removeprefix(", ")
    return f"{before}{after}".removesuffix(" ()")


def _name(session: Session) -> tuple[str, str] | str:
    """The test and worker of a session, or else the application's name."""
    identity = session.identity
    return session.application_name if identity is None else (identity.label, identity.worker_label)


def instead(graph: LockGraph, waiter: Action, key: str) -> str:
    """`Ending test_b (gw1) instead frees nobody at once: press b.`"""
    ends = "Cancelling" if isinstance(waiter, SessionAction) and waiter.how == "cancel" else "Ending"
    frees = freed_at_once(graph, waiter.party)
    return f"{ends} {_short(graph, waiter.party)} instead frees {frees}: {key}."


def in_short(graph: LockGraph, action: Action, refusal: str = "") -> str:
    """An action of several in a line: `pid 4711  test_a (gw0), idle in transaction, blocks 2 sessions`.

    With `refusal`, that the server will refuse it.
    """
    more = ", will be refused" if refusal else ""
    if not isinstance(action, SessionAction):
        return f"{plain(action.gid)}  blocks {_blocks(graph, action)}{more}"
    session = graph.sessions[action.party]
    state = "hidden" if session.hidden else plain(session.state or "")
    return f"pid {action.pid:<8} {name_of(session)}, {state}, blocks {_blocks(graph, action)}{more}"


def refused(refusal: str) -> list[str]:
    """That the server will refuse an action, and which GRANT helps; nothing if it won't."""
    return [f"The server will refuse this: {plain(refusal)}."] if refusal else []


def refused_of_all(refusals: Sequence[str]) -> list[str]:
    """That the server will refuse some of several actions (those with a refusal), and which GRANTs help."""
    why = list(dict.fromkeys(plain(one) for one in refusals if one))
    if not why:
        return []
    number = sum(map(bool, refusals))
    of_all = f"{number:,} of these {len(refusals):,}" if number < len(refusals) else "all of these"
    return [f"The server will refuse {of_all}: {'; '.join(why)}."]


def freed_at_once(graph: LockGraph, party: Party) -> str:
    """`1 of 4 sessions at once`: those that `party` blocks, and how many of them wait for it alone."""
    freed, blocked = len(graph.wait_for_alone(party)), len(graph.blocked_by(party))
    if not freed:
        return "nobody at once"
    of_all = f"{freed:,} of " if freed < blocked else ""
    return f"{of_all}{plural(blocked, 'session')} at once"


def outcome_line(outcome: Outcome) -> str:
    """The outcome as one line of plain text."""
    return plain(outcome.message)


def _session_facts(graph: LockGraph, action: SessionAction) -> list[tuple[str, str]]:
    session = graph.sessions[action.party]
    state = "hidden: needs pg_monitor" if session.hidden else plain(session.state or "")
    age_s = session.query_age_s if session.state == "active" else session.state_age_s
    if age_s is not None:
        state += f" since {clock(graph.snapshot.sampled_at - timedelta(seconds=age_s))}"
    whose = f"{session.pid} of {plain(session.user or '?')} in {plain(session.database or '?')}"
    return [
        ("test" if session.identity is not None else "application", name_of(session)),
        ("pid", f"{whose}, since {clock(action.backend_start)}" if action.backend_start else whose),
        ("state", state),
        ("query", one_line(session.query[:_QUERY])),
    ]


def _prepared(graph: LockGraph, action: Action) -> list[tuple[str, str]]:
    prepared = graph.prepared[action.party]
    age_s = prepared.age_s
    at = "" if age_s is None else f"at {clock(graph.snapshot.sampled_at - timedelta(seconds=age_s))}"
    return [
        ("gid", plain(prepared.gid)),
        ("owner", plain(prepared.user or "?")),
        ("database", plain(prepared.database or "?")),
        ("prepared", at),
    ]


def _blocks(graph: LockGraph, action: Action) -> str:
    total, directly = graph.blocks(action.party), graph.blocks_directly(action.party)
    if not total:
        return "nobody"
    return plural(total, "session") + (f", {directly:,} directly" if directly < total else "")
