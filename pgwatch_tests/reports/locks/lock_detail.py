"""The detail of a row of the lock tree: why, what to do, what frees its waiters now, its statement. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.locks.diagnosis.evidence import Diagnosis, advice_afterwards, advice_now
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.diagnosis.unblocking import (
    Unblocking,
    all_unblocking,
    unblocking,
    without_sql,
)
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party, Session
from pgwatch_tests.reports.locks.action_text import freed_at_once
from pgwatch_tests.reports.locks.folded_tree import Queue
from pgwatch_tests.reports.locks.lock_tree import lock_facts
from pgwatch_tests.reports.locks.test_labels import CUT, beside, label_of
from pgwatch_tests.reports.render.detail_text import NOW, Detail, KeyName, Labelled, Line, labelled
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.toned_sql import toned_sql, toned_sql_line
from pgwatch_tests.text.toned_text import Tone, Toned, text_of

_DOING = {"cancel": "A cancel", "terminate": "Its end", "roll_back": "Its rollback"}
_MOST_LINES = 100
_ROOM_FOR_SQL = 10_000


def lock_detail(
    graph: LockGraph,
    party: Party,
    root: Party,
    diagnosis: Diagnosis,
    keys: KeyName,
    *,
    acts: bool = False,
    refusal: str = "",
    holds: Labelled | None = None,
    whole_statement: bool = True,
) -> Detail:
    """The detail of a party in the tree of `root`, which `diagnosis` is about.

    `acts`: keys cancel and end sessions, unless `refusal` says why the server would refuse that. `holds` are
    the party's locks. Without `whole_statement`, the statement is on one line.
    """
    texts = [labelled("Why", _why(graph, party, diagnosis))]
    if party != root:
        texts += [labelled("Wait", f"It {fact}") for fact in lock_facts(graph, party)[:1]]
    texts += advice_texts(graph, party, root, diagnosis, keys, acts=acts, refusal=refusal)
    texts += [] if holds is None else [holds]
    session = graph.sessions.get(party)
    if session is not None and label_of(session).is_cut:
        texts.append(labelled("Name", CUT, "quiet"))
    texts += statement_text(session, whole_statement)
    tone: Tone = "root" if party == root else "lit"
    return Detail(party_title(graph, party, tone), tuple(texts), short_title(graph, party, tone))


def _why(graph: LockGraph, party: Party, diagnosis: Diagnosis) -> str:
    """The explanation; `It left …` of whom the title names already."""
    who = f"{graph.who(party)} "
    words = diagnosis.explanation
    return plain(f"It {words.removeprefix(who)}" if words.startswith(who) else words)


def queue_detail(
    graph: LockGraph, queue: Queue, root: Party, diagnosis: Diagnosis, keys: KeyName, *, acts: bool
) -> Detail:
    """The detail of a folded queue in the tree of `root`."""
    title = f"{queue.waiting:,} more wait for {queue.waits_for} behind {plain(graph.who(queue.blocker))}"
    texts = [
        labelled("Why", plain(diagnosis.explanation)),
        *advice_texts(graph, None, root, diagnosis, keys, acts=acts),
    ]
    return Detail((Toned(title, "lit"),), tuple(texts))


def copyable(graph: LockGraph, party: Party | None, root: Party | None) -> list[tuple[str, str]]:
    """What is worth copying, each with its name: what frees those behind `root`, and the query of `party`.

    `root` is None where nobody waits, `party` for a queue.
    """
    found = []
    is_present = root is not None and not graph.snapshot.is_past
    free = unblocking(graph, root, diagnose(graph, root)) if root is not None and is_present else None
    if free is not None:
        found.append(("the advice's SQL", free.sql))
    session = None if party is None else graph.sessions.get(party)
    if session is not None and session.query:
        found.append((f"the query of pid {session.pid}", session.query))
    return found


def statement_text(session: Session | None, whole: bool) -> list[Labelled]:
    """The statement that a session runs, or ran last; on one line if not `whole`. Empty if none is known."""
    if session is None or not session.query:
        return []
    query = session.query[:_ROOM_FOR_SQL]
    lines = toned_sql(query)[:_MOST_LINES] if whole else [toned_sql_line(query)]
    return [Labelled("SQL" if session.state == "active" else "Last", tuple(lines))]


def party_title(graph: LockGraph, party: Party, tone: Tone) -> Line:
    """`test_import  tests/test_a.py::test_import · gw3 · pid 15611 · app@10.0.0.7 · test_app`"""
    session, prepared = graph.sessions.get(party), graph.prepared.get(party)
    if session is None:
        parts = ["prepared transaction" if not party.pid else str(party)]
        if prepared is not None:
            parts += [plain(prepared.user or ""), plain(prepared.database or "")]
        return Toned(plain(party.gid) or str(party), tone), Toned(_dotted(parts), "quiet")
    label, identity = label_of(session), session.identity
    whole = f"  {plain(identity.test)}" if identity and label.place and not label.is_cut else ""
    whole = whole or text_of(beside(label)).removeprefix(label.name)
    where = "@".join(filter(None, (plain(session.user or ""), plain(session.client))))
    parts = [label.worker, f"pid {party.pid}", where, plain(session.database or "")]
    return Toned(label.name, tone), Toned(whole + _dotted(parts), "quiet")


def short_title(graph: LockGraph, party: Party, tone: Tone) -> Line:
    """`test_import · gw3 · pid 15611 · test_app`, on one line; empty of a prepared transaction."""
    session = graph.sessions.get(party)
    if session is None:
        return ()
    label = label_of(session)
    parts = [label.worker, f"pid {party.pid}", plain(session.database or "")]
    return Toned(label.name, tone), Toned(_dotted(parts), "quiet")


def _dotted(parts: list[str]) -> str:
    return "".join(f" · {part}" for part in parts if part)


def advice_texts(
    graph: LockGraph,
    party: Party | None,
    root: Party,
    diagnosis: Diagnosis,
    keys: KeyName,
    *,
    acts: bool = False,
    refusal: str = "",
) -> list[Labelled]:
    """What to change in the tests, and what frees those that wait now; keys if they act on `party`.

    With `refusal`, why the server would refuse that, instead of keys. Where keys act, no SQL is shown: one of
    them copies it.
    """
    statements = all_unblocking(graph, root, diagnosis)
    texts = []
    if better := advice_afterwards(diagnosis.advice):
        practice = (Toned(f" ({diagnosis.practice}.)", "quiet"),) if diagnosis.practice else ()
        texts.append(Labelled("Fix", ((Toned(plain(better), "good"), *practice),), vital=True))
    if graph.snapshot.is_past:
        return texts
    now: list[Toned] = []
    does = acts and not refusal
    if words := advice_now(without_sql(diagnosis.advice, statements) if does else diagnosis.advice):
        # The advice says "its session", of the root.
        now += [] if party == root else [Toned(f"{plain(graph.who(root))}  ", "root")]
        now.append(Toned(plain(words)))
    if statements:
        if now:
            in_order = words.startswith("First ")
            said = _keys_on_advice(graph, party, statements, keys, acts=does, in_order=in_order)
        else:
            said = _keys(graph, party, statements, keys, acts=does)
        now.append(Toned(f"  {said}" if now else said, "notice"))
    if now:
        texts.append(Labelled(NOW, (tuple(now),), vital=True))
    if refusal and statements:
        texts.append(labelled("But", refusal, "warning", vital=True))
    return texts


def _keys_on_advice(
    graph: LockGraph,
    party: Party | None,
    statements: Sequence[Unblocking],
    keys: KeyName,
    *,
    acts: bool,
    in_order: bool,
) -> str:
    """What keys do of an advice that says what to do; of two statements, whom each frees as well.

    `in_order`: each is to be done, not one or the other.
    """
    free = statements[0]
    if len(statements) > 1:
        does = "asks for each" if in_order else "does the first"
        return f"{keys('follow-advice')} {does} · " * acts + f"{keys('copy')} copies the first one's SQL"
    frees = f"frees {freed_at_once(graph, free.party)}" if free.frees else ""
    whom = "" if party == free.party else f" ({plain(str(free.party))})"
    if acts:
        does = f"{keys('follow-advice')} does it{whom}{frees and f', {frees}'}"
    else:
        does = frees and f"That {frees}"
    return " · ".join(filter(None, (does, f"{keys('copy')} copies the SQL")))


def _keys(
    graph: LockGraph, party: Party | None, statements: Sequence[Unblocking], keys: KeyName, *, acts: bool
) -> str:
    """What keys do where the advice names the statement only among what to change."""
    free = statements[0]
    frees = f"frees {freed_at_once(graph, free.party)}" if free.frees else ""
    whom = "it" if party == free.party else plain(str(free.party))
    does = {
        "cancel": f"cancels the statement of {whom}" if whom != "it" else "cancels its statement",
        "terminate": f"ends {whom}",
        "roll_back": f"rolls {whom} back",
    }[free.how]
    if acts:
        said = f"{keys('follow-advice')} {does}{frees and f', {frees}'}"
    else:
        said = frees and f"{_DOING[free.how]} {frees}"
    return " · ".join(filter(None, (said, f"{keys('copy')} copies the SQL")))
