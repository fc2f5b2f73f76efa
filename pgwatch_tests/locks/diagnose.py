"""Says why a root blocker blocks, and what to do: rules over the picture, one a function. Pure.

Each rule returns its Diagnosis or None; the first that applies, most telling first, is the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pgwatch_tests import durations
from pgwatch_tests.locks.model import Edge, Party, Session
from pgwatch_tests.locks.picture import LockPicture

_QUEUE_MODE = "AccessExclusiveLock"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`cause` is a stable id; `explanation` and `advice` are a sentence each, foreign text as it is."""

    cause: str
    explanation: str
    advice: str


@dataclass(frozen=True, slots=True)
class _Case:
    picture: LockPicture
    root: Party
    session: Session | None
    direct: tuple[Edge, ...]
    """The waits for the root itself, the longest first."""

    @property
    def who(self) -> str:
        return self.picture.who(self.root)

    @property
    def idle(self) -> bool:
        return bool(self.session and self.session.state and self.session.state.startswith("idle in trans"))

    @property
    def pid(self) -> int:
        return self.root.pid

    def waiting(self, edges: tuple[Edge, ...], one: str = "waits", several: str = "wait") -> str:
        """`test_b (gw1, pid 12) waits`, or with others `test_b (gw1, pid 12) and 2 more wait`."""
        waiters = list(dict.fromkeys(edge.waiter for edge in edges))
        more = len(waiters) - 1
        return self.picture.who(waiters[0]) + (f" and {more} more {several}" if more else f" {one}")

    def state(self) -> str:
        """What the root does at the moment, with how long."""
        if self.session is None or self.session.hidden or self.session.state is None:
            return "in a state that isn't visible to this role"
        if self.idle:
            return f"idle in transaction for {durations.in_words(self.session.state_age_s)}"
        if self.session.state == "active":
            return f"running a statement for {durations.in_words(self.session.query_age_s)}"
        return self.session.state

    def free(self) -> str:
        """How to get the root out of the way: cancelling does nothing to a session that runs no statement."""
        if self.session is not None and self.session.state == "active":
            return f"cancel its statement (SELECT pg_cancel_backend({self.pid}))"
        return f"end its session (SELECT pg_terminate_backend({self.pid}))"


def diagnose(picture: LockPicture, root: Party) -> Diagnosis:
    """Why `root` blocks, and what to do about it."""
    direct = [edge for edge in picture.snapshot.shown_edges if edge.blocker == root]
    direct.sort(key=lambda edge: (-(edge.wait_s or 0.0), edge.waiter))
    case = _Case(picture, root, picture.sessions.get(root), tuple(direct))
    for rule in _RULES:
        found = rule(case)
        if found is not None:
            return found
    return _other(case)


def _deadlock(case: _Case) -> Diagnosis | None:
    cycle = case.picture.deadlock_of(case.root)
    probable = case.picture.probable_deadlock_of(case.root)
    parties = cycle or probable
    if not parties:
        return None
    steps = []
    for waiter, blocker in zip(parties, parties[1:] + parties[:1], strict=True):
        edge = next(edge for edge in case.picture.waits[waiter] if edge.blocker == blocker)
        steps.append(
            f"{case.picture.who(waiter)} waits for {edge.lock.target} behind {case.picture.who(blocker)}"
        )
    return Diagnosis(
        "deadlock",
        f"{'Deadlock' if cycle else 'Probably a deadlock'}: {'; '.join(steps)}.",
        "The server ends one of them after deadlock_timeout. Make the tests touch rows in one order, "
        "or give each test rows of its own.",
    )


def _prepared_transaction(case: _Case) -> Diagnosis | None:
    prepared = case.picture.prepared.get(case.root)
    if case.root.pid:
        return None
    age = durations.in_words(prepared.age_s) if prepared else "?"
    gid = case.root.gid.replace("'", "''")
    return Diagnosis(
        "prepared_transaction",
        f"The prepared transaction {case.root.gid}, {age} old, still holds its locks; "
        f"{case.waiting(case.direct)} for {case.direct[0].lock.target}.",
        f"In its database: ROLLBACK PREPARED '{gid}' (or COMMIT PREPARED). No session owns it any more.",
    )


def _same_key(case: _Case) -> Diagnosis | None:
    edges = tuple(edge for edge in case.direct if edge.subject and edge.subject.kind == "unique_key")
    if not edges:
        return None
    return Diagnosis(
        "same_key",
        f"{case.waiting(edges, 'inserts', 'insert')} the same key as {case.who}, which hasn't committed "
        f"({case.state()}): {edges[0].lock.target}.",
        f"Give each test unique data instead of fixed test data. To go on now, {case.free()}.",
    )


def _queue_behind_exclusive(case: _Case) -> Diagnosis | None:
    """A statement that needs the table alone waits for a reader, and everyone after it waits too."""
    for edge in case.direct:
        # In this order: to count those behind each of hundreds of waiters takes seconds.
        if edge.lock.mode != _QUEUE_MODE or not (queued := case.picture.blocks(edge.waiter)):
            continue
        waiter = case.picture.sessions.get(edge.waiter)
        statement = _first_word(waiter.query if waiter else "")
        cleanup = statement in ("TRUNCATE", "DROP")
        return Diagnosis(
            "truncate_or_cleanup_vs_test" if cleanup else "ddl_queue",
            f"{statement or 'A statement'} by {case.picture.who(edge.waiter)} needs {edge.lock.target} alone "
            f"and waits for {case.who}, {case.state()}; {queued} more queue behind it.",
            (
                "Clean up with DELETE of the test's own rows, not TRUNCATE or DROP. "
                if cleanup
                else "Don't change tables while tests run. "
            )
            + f"To go on now, cancel it (SELECT pg_cancel_backend({edge.waiter.pid})): "
            "those behind it go on at once.",
        )
    return None


def _advisory_lock(case: _Case) -> Diagnosis | None:
    edges = tuple(edge for edge in case.direct if edge.lock.type == "advisory")
    if not edges:
        return None
    return Diagnosis(
        "advisory_lock",
        f"{case.who} holds {edges[0].lock.target} ({case.state()}); {case.waiting(edges)} for it.",
        "Hold advisory locks for a transaction (pg_advisory_xact_lock) and with a key of the test's own. "
        f"To go on now, {case.free()}.",
    )


def _idle_in_transaction(case: _Case) -> Diagnosis | None:
    if not case.idle:
        return None
    return Diagnosis(
        "idle_in_transaction",
        f"{case.who} left a transaction open ({case.state()}); {case.waiting(case.direct)} for "
        f"{case.direct[0].lock.target}.",
        f"Commit or roll back in the fixture's clean-up. To go on now, {case.free()}: cancelling does "
        "nothing to an idle session.",
    )


def _same_row(case: _Case) -> Diagnosis | None:
    edges = tuple(edge for edge in case.direct if edge.subject and edge.subject.kind == "row")
    if not edges:
        return None
    return Diagnosis(
        "same_row",
        f"{case.waiting(edges)} for the {edges[0].lock.target}, which {case.who} has changed or locked "
        f"({case.state()}).",
        f"Give each test rows of its own. To go on now, {case.free()}.",
    )


def _other(case: _Case) -> Diagnosis:
    edge = case.direct[0] if case.direct else None
    about = f"; {case.waiting(case.direct)} for {edge.lock.target}" if edge else ""
    running = case.session is not None and case.session.state == "active"
    return Diagnosis(
        "long_query" if running else "unknown",
        f"{case.who} is {case.state()}{about}.",
        f"If it's in the way, {case.free()}.",
    )


_RULES: tuple[Callable[[_Case], Diagnosis | None], ...] = (
    _deadlock,
    _prepared_transaction,
    _same_key,
    _queue_behind_exclusive,
    _advisory_lock,
    _idle_in_transaction,
    _same_row,
)


def _first_word(query: str) -> str:
    words = query.split(None, 1)
    return words[0].upper() if words and words[0].isalpha() else ""
