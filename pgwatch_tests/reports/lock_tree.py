"""The lock tree as lines of plain text: for the command line, and row by row for the dashboard."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_tests import durations
from pgwatch_tests.locks import modes
from pgwatch_tests.locks.diagnose import diagnose
from pgwatch_tests.locks.graph import Branch
from pgwatch_tests.locks.model import Edge, LockSnapshot, Party, Session
from pgwatch_tests.locks.picture import LockPicture
from pgwatch_tests.reports.plain_text import one_line, plain
from pgwatch_tests.server.application_name import parse

NOTHING_BLOCKED = "Nothing is blocked."
_WIDTH = 100
_BESIDE = "│  "


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One line of the tree in its parts, all of them harmless text."""

    key: str
    """Stays the same from poll to poll for the same session in the same place."""
    party: Party
    root: Party
    """The top of the tree that the row belongs to."""
    prefix: str
    who: str
    test: str
    state: str
    age_s: float | None
    """How long in that state."""
    waits_for: str
    verb: str
    """`waits` behind a holder, `queues` behind somebody who waits as well; empty for a root."""
    wait_s: float | None
    blocks: str
    again: bool


def tree_rows(picture: LockPicture) -> list[TreeRow]:
    """All rows, root first."""
    rows: list[TreeRow] = []
    for tree in picture.forest:
        rows.extend(_rows(picture, tree))
    return rows


def root_row(picture: LockPicture, party: Party) -> TreeRow:
    """A party by itself, as at the top of a tree."""
    return _row(picture, Branch(party), party, None, "")


def _rows(picture: LockPicture, tree: Branch[Party]) -> Iterator[TreeRow]:
    todo: list[tuple[Branch[Party], Party | None, str, str]] = [(tree, None, "", "")]
    while todo:
        branch, parent, prefix, indent = todo.pop()
        yield _row(picture, branch, tree.node, parent, prefix)
        last = len(branch.children) - 1
        for position, child in reversed(list(enumerate(branch.children))):
            corner, below = ("└─ ", "   ") if position == last else ("├─ ", "│  ")
            todo.append((child, branch.node, indent + corner, indent + below))


def _row(
    picture: LockPicture, branch: Branch[Party], root: Party, parent: Party | None, prefix: str
) -> TreeRow:
    party = branch.node
    session = picture.sessions.get(party)
    prepared = picture.prepared.get(party)
    waits = picture.waits.get(party, ())
    edge = next((edge for edge in waits if edge.blocker == parent), waits[0] if waits else None)
    if session is not None:
        state = "hidden" if session.hidden else plain(session.state or session.backend_type)
        age_s = session.state_age_s
        test = name_of(session)
    else:
        state, age_s, test = "prepared", prepared.age_s if prepared else None, plain(party.gid)
    return TreeRow(
        key=f"{root}/{parent}/{party}",
        party=party,
        root=root,
        prefix=prefix,
        who=f"pid {party.pid}" if party.pid else "prepared",
        test=test,
        state=state,
        age_s=age_s,
        waits_for="" if edge is None else _waits_for(edge),
        verb="" if edge is None else _verb(edge),
        wait_s=None if edge is None else edge.wait_s,
        blocks="" if branch.again else _blocks(picture, party),
        again=branch.again,
    )


def name_of(session: Session) -> str:
    """`gw0 tests/test_a.py::test_b`, or the application's name where it names no test. Plain text."""
    identity = parse(session.application_name)
    if identity is None:
        return plain(session.application_name or session.backend_type)
    return plain(f"{identity.worker} {identity.test}".lstrip())


def _verb(edge: Edge) -> str:
    return "queues" if edge.kind == "soft" else "waits"


def _waits_for(edge: Edge) -> str:
    return plain(edge.lock.target or edge.lock.type)


def _blocks(picture: LockPicture, party: Party) -> str:
    total, directly = picture.blocks(party), picture.blocks_directly(party)
    if not total:
        return ""
    return str(total) if total == directly else f"{total} ({directly} directly)"


def header(snapshot: LockSnapshot) -> str:
    """One line: where, when, how many."""
    parts = [
        f"database {plain(snapshot.database)}",
        f"PostgreSQL {plain(snapshot.server_version)}",
        f"{len(snapshot.clients)} sessions",
        f"{snapshot.blocked} blocked",
    ]
    if snapshot.deadlocks:
        parts.append(f"{len(snapshot.deadlocks)} deadlocked")
    if snapshot.hidden_sessions:
        parts.append(f"{snapshot.hidden_sessions} hidden (GRANT pg_monitor shows them)")
    return " · ".join(parts)


def text(snapshot: LockSnapshot) -> str:
    """The whole tree as text: a header, each root with its diagnosis, and those behind it."""
    picture = LockPicture(snapshot)
    lines = [header(snapshot), ""]
    if not picture.forest:
        lines.append(NOTHING_BLOCKED)
    for tree in picture.forest:
        lines += tree_lines(picture, tree)
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def tree_lines(picture: LockPicture, tree: Branch[Party]) -> list[str]:
    """One tree of the forest as text: its root with the diagnosis, and those behind it."""
    rows = list(_rows(picture, tree))
    found = diagnose(picture, tree.node)
    return [
        *_root_lines(picture, rows[0]),
        *_wrapped(plain(found.explanation)),
        *_wrapped(f"→ {plain(found.advice)}"),
        *_query(picture, rows[0]),
        *(_waiter_line(row) for row in rows[1:]),
    ]


def _root_lines(picture: LockPicture, row: TreeRow) -> list[str]:
    total, directly = picture.blocks(row.party), picture.blocks_directly(row.party)
    since = "" if row.age_s is None else f" for {durations.in_words(row.age_s)}"
    longest = durations.in_words(picture.longest_wait_s(row.party))
    return [
        f"{row.who}  {row.test}  {row.state}{since}",
        f"{_BESIDE}blocks {total} ({directly} directly), longest wait {longest}",
    ]


def _waiter_line(row: TreeRow) -> str:
    if row.again:
        return f"{row.prefix}{row.who}  (shown above) {row.verb} here too, for {row.waits_for}"
    behind = f", blocks {row.blocks}" if row.blocks else ""
    waits = f"{row.verb} {durations.in_words(row.wait_s)} for {row.waits_for}"
    return f"{row.prefix}{row.who}  {row.test}  {waits}{behind}"


def _query(picture: LockPicture, row: TreeRow) -> list[str]:
    session = picture.sessions.get(row.party)
    if session is None or not session.query:
        return []
    words = "last query" if session.state != "active" else "query"
    return [f"{_BESIDE}{words}: {plain(one_line(session.query), 90)}"]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=_BESIDE, subsequent_indent=_BESIDE, break_long_words=False
    )


def lock_facts(picture: LockPicture, party: Party) -> list[str]:
    """What a detail pane says of one party's waits, a line each."""
    lines = []
    for edge in picture.waits.get(party, ()):
        held = f", held as {modes.in_words(edge.lock.held_mode)}" if edge.lock.held_mode else ""
        mode = f" as {modes.in_words(edge.lock.mode)}" if edge.lock.mode else ""
        lines.append(
            f"{_verb(edge)} {durations.in_words(edge.wait_s)} for {_waits_for(edge)}{mode}, "
            f"behind {plain(picture.who(edge.blocker))}{held}"
        )
    return lines
