"""The lock tree as lines of plain text without colours, for `locks`; what is said of a party, for all."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby, islice

from pgwatch_tests.locks.diagnosis.evidence import Diagnosis
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.wait_graph import Branch
from pgwatch_tests.locks.model import Edge, LockSnapshot, Party
from pgwatch_tests.locks.waits import lock_modes
from pgwatch_tests.reports.locks.test_labels import name_of
from pgwatch_tests.reports.verdict import capacity_use, verdict_line
from pgwatch_tests.reports.verdict.verdict import LOCKS_ONLY, Facts, clauses
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import one_line, plain
from pgwatch_tests.text.times import clock

NOTHING_BLOCKED = "Nothing is blocked."
_WIDTH = 100
_BESIDE = "│  "
_OTHERS_SHOWN = 3
_QUEUE_SHOWN = 20
_FACTS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One line of the tree in its parts, all of them harmless text."""

    party: Party
    root: Party
    """The top of the tree that the row belongs to."""
    prefix: str
    who: str
    test: str
    database: str
    """The database if it isn't the tested one."""
    place: str
    """That, and what there is instead of a test's name: `database b, user app, from 10.0.0.7:5123`."""
    state: str
    age_s: float | None
    """How long in that state."""
    waits_for: str
    beside: str
    """Who else has locked the same row: `also locked by test_b (gw1, pid 12)`."""
    verb: str
    """`waits` behind a holder, `queues` behind somebody who waits as well; empty for a root."""
    wait_s: float | None
    blocks: str
    again: bool


def root_row(graph: LockGraph, party: Party) -> TreeRow:
    """A party by itself, as at the top of a tree."""
    return tree_row(graph, Branch(party), party, None)


def _rows(graph: LockGraph, tree: Branch[Party]) -> Iterator[TreeRow]:
    todo: list[tuple[Branch[Party], Party | None, str, str]] = [(tree, None, "", "")]
    while todo:
        branch, parent, prefix, indent = todo.pop()
        yield tree_row(graph, branch, tree.node, parent, prefix)
        last = len(branch.children) - 1
        for position, child in reversed(list(enumerate(branch.children))):
            corner, below = ("└─ ", "   ") if position == last else ("├─ ", "│  ")
            todo.append((child, branch.node, indent + corner, indent + below))


def tree_row(
    graph: LockGraph, branch: Branch[Party], root: Party, parent: Party | None, prefix: str = ""
) -> TreeRow:
    """The row of a branch of the tree of `root`, shown as a waiter of `parent`; None at the top."""
    party = branch.node
    session = graph.sessions.get(party)
    prepared = graph.prepared.get(party)
    edge = graph.edge(party, parent)
    if session is not None:
        state = "hidden" if session.hidden else plain(session.state or session.backend_type)
        age_s = session.state_age_s
        test = name_of(session)
    else:
        state, age_s, test = "prepared", prepared.age_s if prepared else None, plain(party.gid)
    return TreeRow(
        party=party,
        root=root,
        prefix=prefix,
        who=f"pid {party.pid}" if party.pid else "prepared",
        test=test,
        database=plain(graph.other_database(party)),
        place=plain(graph.place(party)),
        state=state,
        age_s=age_s,
        waits_for="" if edge is None else _waits_for(edge),
        beside="" if edge is None else _beside(graph, edge),
        verb="" if edge is None else _verb(edge),
        wait_s=None if edge is None else edge.wait_s,
        blocks="" if branch.again else _blocks(graph, party),
        again=branch.again,
    )


def in_database(name: str, database: str) -> str:
    """`psql in test_gw1`: a name of plain text, and the database where that isn't the tested one."""
    return f"{name} in {database}" if database else name


def _verb(edge: Edge) -> str:
    return "queues" if edge.kind == "soft" else "waits"


def _waits_for(edge: Edge) -> str:
    alone = " (until nobody else is connected)" if edge.kind == "connected" else ""
    return plain(f"{edge.lock.target or edge.lock.type}{alone}")


def _beside(graph: LockGraph, edge: Edge) -> str:
    others = [plain(graph.who(party)) for party in edge.lock.also_held_by[:_OTHERS_SHOWN]]
    more = len(edge.lock.also_held_by) - len(others)
    return f"also locked by {', '.join(others)}{f' and {more:,} more' if more else ''}" if others else ""


def _blocks(graph: LockGraph, party: Party) -> str:
    total, directly = graph.blocks(party), graph.blocks_directly(party)
    if not total:
        return ""
    return f"{total:,}" if total == directly else f"{total:,} ({directly:,} directly)"


def header(snapshot: LockSnapshot) -> str:
    """One line: where, when, how many."""
    parts = [
        f"database {plain(snapshot.database)}",
        f"PostgreSQL {plain(snapshot.server_version)}",
        plural(len(snapshot.clients), "session"),
        f"{snapshot.blocked:,} blocked",
    ]
    if snapshot.capacity is not None:
        parts.insert(3, capacity_use.connections(snapshot.capacity))
    if snapshot.deadlocks:
        parts.append(f"{len(snapshot.deadlocks):,} deadlocked")
    if snapshot.hidden_sessions:
        parts.append(f"{snapshot.hidden_sessions:,} hidden (GRANT pg_monitor shows them)")
    return " · ".join(parts)


def text(snapshot: LockSnapshot, facts: Facts = LOCKS_ONLY) -> str:
    """The verdict, which rests on `facts` as well, and the whole tree."""
    graph = LockGraph(snapshot)
    return f"{verdict(graph, facts)}\n\n{tree(graph)}"


def verdict(graph: LockGraph, facts: Facts = LOCKS_ONLY) -> str:
    """The verdict of the dashboard as one line of plain text, the largest trouble first."""
    return verdict_line.text(clauses(graph, facts))


def tree(graph: LockGraph) -> str:
    """The tree as text: a header, each root with its diagnosis, and those behind it."""
    snapshot = graph.snapshot
    lines = [header(snapshot), ""]
    for warning in capacity_use.warnings(snapshot):
        lines += [*textwrap.wrap(warning, _WIDTH, break_long_words=False), ""]
    for one in graph.trees:
        lines += tree_lines(graph, one)
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def tree_lines(graph: LockGraph, tree: Branch[Party]) -> list[str]:
    """One tree of the forest as text: its root with the diagnosis, and those behind it."""
    rows = list(_rows(graph, tree))
    diagnosis = diagnose(graph, tree.node)
    return [
        *_root_lines(graph, rows[0]),
        *_wrapped(plain(diagnosis.explanation)),
        *_wrapped(advice(diagnosis)),
        *_query(graph, rows[0]),
        *_waiter_lines(graph, rows),
    ]


def _root_lines(graph: LockGraph, row: TreeRow) -> list[str]:
    total, directly = graph.blocks(row.party), graph.blocks_directly(row.party)
    since = "" if row.age_s is None else f" for {durations.in_words(row.age_s)}"
    longest = durations.in_words(graph.longest_wait_s(row.party))
    return [
        f"{row.who}  {_placed(row)}  {row.state}{since}",
        f"{_BESIDE}blocks {total:,} ({directly:,} directly), longest wait {longest}",
    ]


def _waiter_lines(graph: LockGraph, rows: list[TreeRow]) -> Iterator[str]:
    """A line for each row below the root's; of a long queue only the beginning."""
    runs = []
    for (depth, waits_for), run in groupby(rows[1:], lambda row: (len(row.prefix), row.waits_for)):
        queue = list(run)
        shown = queue if len(queue) <= _QUEUE_SHOWN + 1 else queue[:_QUEUE_SHOWN]
        runs.append((depth, waits_for, shown, queue[len(shown) :]))
    later = {row.party for _, _, shown, _ in runs for row in shown if not row.again}
    above = {rows[0].party}
    for depth, waits_for, shown, rest in runs:
        for row in shown:
            above |= set() if row.again else {row.party}
            where = "above" if row.party in above else "below" if row.party in later else ""
            yield _again_line(graph, row, where) if row.again else _waiter_line(row)
        if rest:
            longest = durations.in_words(max(row.wait_s or 0.0 for row in rest))
            corner = rest[-1].prefix[: depth - 3] + "└─ "
            yield f"{corner}… and {len(rest):,} more for {waits_for}, the longest for {longest}"


def _again_line(graph: LockGraph, row: TreeRow, where: str) -> str:
    """The line of who is in full `above` or `below`, else in another tree, or counted with a long queue."""
    if not where:
        top = graph.shown_behind[row.party]
        where = (
            "in a queue of this tree" if top == row.root else f"behind {top if top.pid else plain(top.gid)}"
        )
    return f"{row.prefix}{row.who}  (shown {where}) {row.verb} here too, for {row.waits_for}"


def _waiter_line(row: TreeRow) -> str:
    behind = f", blocks {row.blocks}" if row.blocks else ""
    waits = f"{row.verb} {durations.in_words(row.wait_s)} for {row.waits_for}"
    if row.beside:
        waits += f" ({row.beside})"
    return f"{row.prefix}{row.who}  {_placed(row)}  {waits}{behind}"


def _placed(row: TreeRow) -> str:
    return f"{row.test} ({row.place})" if row.place else row.test


def _query(graph: LockGraph, row: TreeRow) -> list[str]:
    session = graph.sessions.get(row.party)
    if session is None or not session.query:
        return []
    words = "last query" if session.state != "active" else "query"
    return [f"{_BESIDE}{words}: {plain(one_line(session.query), 90)}"]


def _wrapped(text: str) -> list[str]:
    # A statement is for copying: it stays on one line.
    lines = textwrap.wrap(
        text.replace("(SELECT pg_", "(SELECT\xa0pg_"),
        _WIDTH,
        initial_indent=_BESIDE,
        subsequent_indent=_BESIDE,
        break_long_words=False,
    )
    return [line.replace("(SELECT\xa0pg_", "(SELECT pg_") for line in lines]


def advice(diagnosis: Diagnosis) -> str:
    """`→ Give each test unique data … (Practice: Don't use fixed test data.)`, as plain text."""
    practice = f" (Practice: {diagnosis.practice}.)" if diagnosis.practice else ""
    return f"→ {plain(diagnosis.advice)}{practice}"


def lock_facts(graph: LockGraph, party: Party) -> list[str]:
    """What a detail pane says of one party's waits, a line each; of a long queue the first."""
    lines = []
    for group in graph.groups.get(party, ()):
        lines += [_lock_fact(graph, edge) for edge in islice(group.edges, _FACTS_SHOWN)]
        more = len(group.blockers) - _FACTS_SHOWN
        if more > 0:
            lines.append(f"… and behind {more:,} more")
    return lines


def lock_since(graph: LockGraph, party: Party) -> str:
    """What a party waits for first, and since which time of day; empty if it doesn't wait."""
    edge = next((edge for group in graph.groups.get(party, ()) for edge in group.edges), None)
    if edge is None:
        return ""
    begun = graph.snapshot.sampled_at - timedelta(seconds=edge.wait_s or 0.0)
    return f"since {clock(begun)} for {_what(graph, edge)}"


def _lock_fact(graph: LockGraph, edge: Edge) -> str:
    return f"{_verb(edge)} {durations.in_words(edge.wait_s)} for {_what(graph, edge)}"


def _what(graph: LockGraph, edge: Edge) -> str:
    held = f", held as {lock_modes.in_words(edge.lock.held_mode)}" if edge.lock.held_mode else ""
    mode = f" as {lock_modes.in_words(edge.lock.mode)}" if edge.lock.mode else ""
    beside = _beside(graph, edge)
    behind = f"behind {plain(graph.who(edge.blocker))}{held}{f'; {beside}' if beside else ''}"
    return f"{_waits_for(edge)}{mode}, {behind}"
