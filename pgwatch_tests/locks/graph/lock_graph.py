"""The lock graph of a snapshot: root blockers, how many each blocks, who waits for what, the trees. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import copy
from functools import cached_property

from pgwatch_tests.locks.graph.settled_waits import confirmed_edges
from pgwatch_tests.locks.graph.wait_graph import Branch, WaitForGraph
from pgwatch_tests.locks.model import Edge, EdgeGroup, LockSnapshot, Party, PreparedTransaction, Session


class LockGraph(WaitForGraph[Party]):
    """The lock graph: the confirmed edges of `snapshot`, and its sessions and prepared transactions."""

    def __init__(self, snapshot: LockSnapshot) -> None:
        super().__init__(*confirmed_edges(snapshot.groups))
        self.snapshot = snapshot

    @cached_property
    def sessions(self) -> Mapping[Party, Session]:
        """The sessions by party."""
        return {Party(session.pid): session for session in self.snapshot.sessions}

    @cached_property
    def prepared(self) -> Mapping[Party, PreparedTransaction]:
        """The prepared transactions by party."""
        return {Party(0, one.gid): one for one in self.snapshot.prepared}

    @cached_property
    def groups(self) -> Mapping[Party, tuple[EdgeGroup, ...]]:
        """The edges of each waiter: those whose blocker holds the lock before those merely queued ahead."""
        by_waiter: dict[Party, list[EdgeGroup]] = {}
        for group in self.snapshot.shown_groups:
            by_waiter.setdefault(group.waiter, []).append(group)
        return {
            waiter: tuple(sorted(groups, key=lambda one: (one.kind == "soft", one.blockers[:1])))
            for waiter, groups in by_waiter.items()
        }

    def edge(self, waiter: Party, blocker: Party | None = None) -> Edge | None:
        """The edge from a waiter to a blocker, or else its first one; None if it doesn't wait."""
        groups = self.groups.get(waiter, ())
        for group in groups:
            if blocker is not None and blocker in group.blockers:
                return group.edge(blocker)
        return groups[0].edge(groups[0].blockers[0]) if groups else None

    @cached_property
    def trees(self) -> tuple[Branch[Party], ...]:
        """The trees to show, those that block most first."""
        hard = {
            waiter: [blocker for group in groups if group.kind != "soft" for blocker in group.blockers]
            for waiter, groups in self.groups.items()
        }
        return tuple(self.forest(hard))

    @cached_property
    def shown_behind(self) -> Mapping[Party, Party]:
        """Of each party in the trees, the top of the one that shows it in full."""
        found: dict[Party, Party] = {}
        for tree in self.trees:
            todo = [tree]
            while todo:
                branch = todo.pop()
                if not branch.again:
                    found[branch.node] = tree.node
                todo.extend(branch.children)
        return found

    @cached_property
    def root_blockers(self) -> tuple[Party, ...]:
        """Root blockers, those that block most first."""
        return tuple(sorted(self.roots(), key=lambda root: (-self.blocks(root), root)))

    def root_of(self, party: Party) -> Party | None:
        """The root blocker that `party` waits behind, that which blocks most if there are several.

        None if it doesn't wait, or if whom it waits for is deadlocked.
        """
        return self._root_of.get(party)

    @cached_property
    def _root_of(self) -> Mapping[Party, Party]:
        found: dict[Party, Party] = {}
        for root in reversed(self.root_blockers):
            found.update(dict.fromkeys(self.blocked_by(root), root))
        return found

    def wait_for_alone(self, party: Party, gone: Collection[Party] = ()) -> tuple[Party, ...]:
        """Returns the waiters of `party` alone, of those in `gone` aside: they can continue once it is gone.

        Who is queued for a row's turn (a lock on the tuple) isn't one of them: it waits for the row next. Nor
        is who waits for a row that several have locked: the server names one of these after the other.
        """
        none = {party, *gone}
        return tuple(
            waiter
            for waiter in sorted(self.waiters(party).difference(gone))
            if all(
                group.lock.type != "tuple"
                and len(group.blockers) <= len(none)
                and none.issuperset(group.blockers)
                and none.issuperset(group.lock.also_held_by)
                for group in self.groups[waiter]
            )
        )

    def shares_row_with(self, party: Party) -> Party | None:
        """Who is waited for by those that wait for a row which `party` has locked, too; None if nobody is."""
        groups = (group for groups in self.groups.values() for group in groups)
        return next((group.blockers[0] for group in groups if party in group.lock.also_held_by), None)

    def longest_wait_s(self, party: Party) -> float:
        """The longest wait behind `party`, in seconds."""
        behind = self.blocked_by(party)
        return max((self.wait_s(waiter) or 0.0 for waiter in behind), default=0.0)

    def wait_s(self, party: Party) -> float | None:
        """Returns how long `party` has waited, in seconds; None if it doesn't wait."""
        waits = [group.wait_s for group in self.groups.get(party, ()) if group.wait_s is not None]
        return max(waits, default=None)

    def deadlock_of(self, party: Party) -> tuple[Party, ...]:
        """The confirmed cycle that `party` is part of; empty if there is none."""
        return next((cycle for cycle in self.snapshot.deadlocks if party in cycle), ())

    def probable_deadlock_of(self, party: Party) -> tuple[Party, ...]:
        """The cycle, seen once only, that `party` is part of; empty if there is none."""
        return next((cycle for cycle in self.snapshot.probable_deadlocks if party in cycle), ())

    def other_database(self, party: Party) -> str:
        """The database that a party is in if that isn't the tested one; empty if it is, or isn't known."""
        database = self.database(party)
        return database if database != self.snapshot.database else ""

    def database(self, party: Party) -> str:
        """The database that a party is in; empty if that isn't known."""
        one = self.sessions.get(party) or self.prepared.get(party)
        return (one.database if one else None) or ""

    def place(self, party: Party) -> str:
        """Returns the place of a party: `database b`; where no test names it, `database b, user app, from
        10.0.0.7:512`.

        Empty if it is in the tested database and runs a test, or if nothing is known. Foreign text as it is.
        """
        database = self.other_database(party)
        parts = [f"database {database}"] if database else []
        session = self.sessions.get(party)
        if session is not None and session.identity is None:
            parts += [f"user {session.user}"] if session.user else []
            client = session.client
            parts += [client if client == "local" else f"from {client}"] if client else []
        return ", ".join(parts)

    def who(self, party: Party) -> str:
        """`test_booking (gw0, pid 4711)`; the application's name where it names no test.

        With the database if that isn't the tested one: `psql (pid 4711, database b)`.
        """
        database = self.other_database(party)
        if not party.pid:
            return f"{party} (database {database})" if database else str(party)
        session = self.sessions.get(party)
        name = session.known_as if session else "session"
        identity = session.identity if session else None
        where = f"pid {party.pid}, database {database}" if database else f"pid {party.pid}"
        if identity is not None:
            worker = f"{identity.worker_label}, " if identity.worker_label else ""
            return f"{identity.label.rpartition('::')[2]} ({worker}{where})"
        if session is not None and session.is_connecting:
            name = "a session that is connecting"
        return f"{name} ({where})"


_made: list[LockGraph] = []
"""The last graphs of `graph_of`."""
_MADE_KEPT = 2


def graph_of(snapshot: LockSnapshot) -> LockGraph:
    """The graph of a snapshot; that of the last ones is made once for all that ask."""
    for graph in _made:
        if graph.snapshot is snapshot:
            return graph
    return _kept(LockGraph(snapshot))


def graph_of_later(snapshot: LockSnapshot, before: LockSnapshot) -> LockGraph:
    """The graph of a snapshot that differs from one before in durations alone: most of it is made already."""
    graph = copy(graph_of(before))
    graph.snapshot = snapshot
    for name in ("sessions", "prepared", "groups"):
        graph.__dict__.pop(name, None)
    return _kept(graph)


def _kept(graph: LockGraph) -> LockGraph:
    _made[:] = [graph, *_made[: _MADE_KEPT - 1]]
    return graph


def running_test(session: Session) -> str | None:
    """The test that a session runs, as far as its application_name, or a list of tests, tells."""
    identity = session.identity
    return None if identity is None else identity.test
