"""The lock tree as rows that fold: guides, open and closed branches, long queues as one line. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.wait_graph import Branch
from pgwatch_tests.locks.model import LockTag, Party
from pgwatch_tests.reports.locks.lock_tree import TreeRow, tree_row

Fold = Literal["", "open", "closed"]
"""Of a row that nothing is under, empty."""
Fits = Callable[[Party, Party | None], bool]
"""Whether a filter keeps a party, shown as a waiter of another, or as a root."""

FIRST_SHOWN = 3
"""Who is next in a long queue."""
FOLDS_FROM = 6
"""The length from which a queue is folded: a shorter one takes hardly more lines than its fold."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The rest of those that wait for one lock behind one blocker, folded into a line."""

    waiting: int
    """Sessions that wait in it and are shown nowhere else."""
    again: int
    """Others of it, which are shown in full elsewhere: they wait for several."""
    behind_them: int
    """Sessions that wait for one of these."""
    waits_for: str
    """Plain text."""
    longest_s: float
    blocker: Party


@dataclass(frozen=True, slots=True)
class FoldedRow:
    """One row: a session or prepared transaction, or a queue."""

    key: str
    """Stays the same from poll to poll: by the session, wherever in the trees it stands."""
    root: Party
    above: tuple[int, ...]
    """The numbers of the rows that it hangs from, the root's first."""
    guides: tuple[str, ...]
    """`│ `, `├ `, `└ ` or spaces, one for each of `above`."""
    fold: Fold
    shown: TreeRow | Queue
    is_deadlocked: bool = False

    @property
    def party(self) -> Party | None:
        """The session or prepared transaction of the row; None of a queue."""
        return self.shown.party if isinstance(self.shown, TreeRow) else None


def folded_rows(
    graph: LockGraph,
    switched: Collection[str] = (),
    *,
    selected: str | None = None,
    fits: Fits | None = None,
    all_open: bool = False,
) -> list[FoldedRow]:
    """The rows to show, root first; every waiter is in one of them, or counted in a closed one.

    Rows whose key is in `switched` are closed instead of open, and queues open instead of closed. The row of
    the `selected` key is never in a closed queue. With `fits`, only rows that it keeps, and those above and
    below them.
    """
    builder = _Builder(graph, frozenset(switched), selected, all_open)
    for tree in graph.trees:
        kept = tree if fits is None else _kept(tree, fits)
        if kept is not None:
            builder.add_tree(kept)
    return builder.rows


def key_of(graph: LockGraph, party: Party) -> str:
    """The key of the row that shows a party in full."""
    session = graph.sessions.get(party)
    if session is None or session.backend_start is None:
        return str(party)
    return f"{party} of {session.backend_start.timestamp()}"


def switches_that_show(rows: list[FoldedRow], key: str, switched: Collection[str]) -> frozenset[str]:
    """`switched`, changed so that the row of `key` is shown; `rows` are those with everything open."""
    found = next((row for row in rows if row.key == key), None)
    changed = set(switched)
    for number in found.above if found else ():
        row = rows[number]
        (changed.add if isinstance(row.shown, Queue) else changed.discard)(row.key)
    return frozenset(changed)


def waiters_below(branch: Branch[Party]) -> Iterable[Party]:
    """Yields all that are shown in full under a branch."""
    todo = list(branch.children)
    while todo:
        one = todo.pop()
        if not one.again:
            yield one.node
        todo.extend(one.children)


@dataclass(frozen=True, slots=True)
class _Rest:
    """The members of a queue that its line stands for."""

    members: tuple[Branch[Party], ...]
    lock: str
    """What tells it from other queues behind the same blocker, also before the lock's name is known."""
    queue: Queue


@dataclass(frozen=True, slots=True)
class _Pending:
    """What the next row is made of."""

    what: Branch[Party] | _Rest
    blocker: Party | None
    blocker_key: str
    above: tuple[int, ...]
    lines: tuple[str, ...]
    """The guides of the rows above it, as they run past this one."""
    corner: str


class _Builder:
    def __init__(
        self, graph: LockGraph, switched: frozenset[str], selected: str | None, all_open: bool
    ) -> None:
        self.rows: list[FoldedRow] = []
        self._graph = graph
        self._switched = switched
        self._in_sight = _with_those_above(graph, selected)
        self._all_open = all_open
        cycles = (*graph.snapshot.deadlocks, *graph.snapshot.probable_deadlocks)
        self._deadlocked = frozenset(party for cycle in cycles for party in cycle)

    def add_tree(self, tree: Branch[Party]) -> None:
        todo = [_Pending(tree, None, "", (), (), "")]
        while todo:
            one = todo.pop()
            if isinstance(one.what, _Rest):
                self._add_queue(one, one.what, tree.node, todo)
            else:
                self._add_party(one, one.what, tree.node, todo)

    def _add_party(self, one: _Pending, branch: Branch[Party], root: Party, todo: list[_Pending]) -> None:
        party = branch.node
        own_key = key_of(self._graph, party)
        key = f"{own_key} behind {one.blocker_key}" if branch.again else own_key
        is_open = self._all_open or key not in self._switched
        self._add(
            one,
            key,
            root,
            "" if not branch.children else "open" if is_open else "closed",
            tree_row(self._graph, branch, root, one.blocker),
            party in self._deadlocked and not branch.again,
        )
        if branch.children and is_open:
            self._push(todo, one, key, party, self._lines_of(branch))

    def _add_queue(self, one: _Pending, rest: _Rest, root: Party, todo: list[_Pending]) -> None:
        key = f"queue for {rest.lock} behind {one.blocker_key}"
        is_open = self._all_open or key in self._switched
        self._add(one, key, root, "open" if is_open else "closed", rest.queue, False)
        if is_open:
            self._push(todo, one, one.blocker_key, rest.queue.blocker, rest.members)

    def _add(
        self,
        one: _Pending,
        key: str,
        root: Party,
        fold: Fold,
        shown: TreeRow | Queue,
        is_deadlocked: bool,
    ) -> None:
        guides = (*one.lines, one.corner) if one.corner else ()
        self.rows.append(FoldedRow(key, root, one.above, guides, fold, shown, is_deadlocked))

    def _push(
        self,
        todo: list[_Pending],
        parent: _Pending,
        blocker_key: str,
        blocker: Party,
        below: Iterable[Branch[Party] | _Rest],
    ) -> None:
        above = (*parent.above, len(self.rows) - 1)
        past = {"": (), "├ ": (*parent.lines, "│ "), "└ ": (*parent.lines, "  ")}[parent.corner]
        pending = [_Pending(what, blocker, blocker_key, above, past, "├ ") for what in below]
        last = pending.pop()
        todo.append(_Pending(last.what, blocker, blocker_key, above, past, "└ "))
        todo.extend(reversed(pending))

    def _lines_of(self, branch: Branch[Party]) -> list[Branch[Party] | _Rest]:
        """What is shown under a party: its waiters by the lock they wait for, of many the first few."""
        queues: dict[LockTag | str, list[Branch[Party]]] = {}
        for child in sorted(branch.children, key=self._weight):
            queues.setdefault(self._lock(child.node, branch.node), []).append(child)
        lines: list[Branch[Party] | _Rest] = []
        for lock, members in queues.items():
            if len(members) < FOLDS_FROM:
                lines += members
                continue
            rest: list[Branch[Party]] = []
            for number, one in enumerate(members):
                first = number < FIRST_SHOWN or one.node in self._in_sight
                (lines if first else rest).append(one)
            if rest:
                lines.append(_Rest(tuple(rest), str(lock), self._queue(rest, branch.node)))
        return lines

    def _weight(self, branch: Branch[Party]) -> tuple[bool, bool, float, Party]:
        """Deadlocked ones first, then those that block others, then in the order of the queue."""
        party = branch.node
        return (
            party not in self._deadlocked,
            branch.again or not branch.children,
            -(self._graph.wait_s(party) or 0.0),
            party,
        )

    def _lock(self, waiter: Party, blocker: Party) -> LockTag | str:
        edge = self._graph.edge(waiter, blocker)
        if edge is None:
            return ""
        return edge.wait.tag if edge.wait else edge.lock.target or edge.lock.type

    def _queue(self, members: Sequence[Branch[Party]], blocker: Party) -> Queue:
        waiting = [one.node for one in members if not one.again]
        return Queue(
            len(waiting),
            len(members) - len(waiting),
            sum(1 for one in members for _ in waiters_below(one)),
            tree_row(self._graph, members[0], blocker, blocker).waits_for,
            max((self._graph.wait_s(party) or 0.0 for party in waiting), default=0.0),
            blocker,
        )


def _with_those_above(graph: LockGraph, selected: str | None) -> frozenset[Party]:
    """The party of a row's key, and those that it is shown below; none of a queue's."""
    name = "" if selected is None else selected.partition(" of ")[0]
    one = next((party for party in graph.nodes if str(party) in (name, selected)), None)
    if one is None or key_of(graph, one) != selected:
        return frozenset()
    found = {one}
    above = _those_above(next(tree for tree in graph.trees if tree.node == graph.shown_behind[one]))
    while one := above.get(one):
        found.add(one)
    return frozenset(found)


def _those_above(tree: Branch[Party]) -> Mapping[Party, Party]:
    """Below whom each is shown in full in a tree."""
    above: dict[Party, Party] = {}
    todo = [tree]
    while todo:
        branch = todo.pop()
        above.update({child.node: branch.node for child in branch.children if not child.again})
        todo.extend(branch.children)
    return above


def _kept(tree: Branch[Party], fits: Fits) -> Branch[Party] | None:
    """The branch with what fits, and what is above and below that; None if nothing does."""
    order: list[tuple[Branch[Party], Party | None, bool]] = [(tree, None, fits(tree.node, None))]
    for branch, _, above_fits in order:
        order += [
            (child, branch.node, above_fits or fits(child.node, branch.node)) for child in branch.children
        ]
    kept: dict[int, Branch[Party]] = {}
    for branch, _, is_kept in reversed(order):
        below = tuple(kept[id(child)] for child in branch.children if id(child) in kept)
        if is_kept or below:
            kept[id(branch)] = Branch(branch.node, below, branch.again)
    return kept.get(id(tree))
