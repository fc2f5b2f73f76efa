"""The detail of a session: why it blocks or waits, else what it does; what to do; its statement. Pure."""

from __future__ import annotations

from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party, Session
from pgwatch_tests.locks.waits.session_waits import waits_for
from pgwatch_tests.reports.locks.lock_detail import lock_detail, party_title, short_title, statement_text
from pgwatch_tests.reports.locks.wait_tones import of_idle_transaction
from pgwatch_tests.reports.render.detail_text import Detail, KeyName, Labelled, labelled
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain

_LEFT_OPEN = "It blocks nobody yet. Commit, roll back or close it where the test ends."


def session_detail(
    graph: LockGraph,
    party: Party,
    keys: KeyName,
    *,
    acts: bool = False,
    refusal: str = "",
    holds: Labelled | None = None,
    whole_statement: bool = True,
) -> Detail | None:
    """The detail of a session of the graph's snapshot; None if it isn't there.

    The rest is what `lock_detail` takes.
    """
    session = graph.sessions.get(party)
    if session is None:
        return None
    if party in graph.nodes:
        root = graph.root_of(party) or party
        diagnosis = diagnose(graph, root)
        return lock_detail(
            graph,
            party,
            root,
            diagnosis,
            keys,
            acts=acts,
            refusal=refusal,
            holds=holds,
            whole_statement=whole_statement,
        )
    texts = list(_doing(session))
    texts += [] if holds is None else [holds]
    texts += statement_text(session, whole_statement)
    return Detail(party_title(graph, party, "lit"), tuple(texts), short_title(graph, party, "lit"))


def _doing(session: Session) -> list[Labelled]:
    if session.hidden:
        return [labelled("Does", "Its state is hidden from this role: GRANT pg_monitor shows it.", "notice")]
    state, age = plain(session.state or "?"), durations.in_words(session.state_age_s)
    words = f"{state} for {age}"
    if session.xact_age_s is not None:
        words += f"; its transaction began {durations.in_words(session.xact_age_s)} ago"
    if waits := waits_for(session):
        words += f"; it waits for {plain(waits)}" if waits != "CPU" else "; it computes"
    if not state.startswith("idle in transaction"):
        return [labelled("Does", f"{words}.")]
    tone = of_idle_transaction(session.state_age_s)
    return [labelled("Does", f"{words}.", tone), labelled("Fix", _LEFT_OPEN, "good", vital=True)]
