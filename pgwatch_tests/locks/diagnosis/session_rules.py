"""Diagnosis rules about the blocking session: idle in transaction, its own waiter, unread rows. Pure."""

from __future__ import annotations

from pgwatch_tests.locks.diagnosis import table_rules
from pgwatch_tests.locks.diagnosis.evidence import CLEAN_UP, NO_SHARED_STATE, Diagnosis, RootBlocker
from pgwatch_tests.locks.model import Party
from pgwatch_tests.text import durations


def waits_for_itself(root: RootBlocker) -> Diagnosis | None:
    """Waiter and blocker are sessions of one test: to the server, that is no deadlock."""
    waiter = _of_the_same_test(root)
    if waiter is None:
        return None
    edge = root.graph.edge(waiter, root.party)
    assert edge is not None, "who is behind the root waits"
    itself, worker = root.who, f"pid {waiter.pid}"
    through = "" if edge.blocker == root.party else f" behind {root.graph.who(edge.blocker)}"
    told = (
        f"{itself} waits for itself: its session {worker} has waited {durations.in_words(edge.wait_s)} for "
        f"{edge.lock.target}{through}, and its session pid {root.party.pid} blocks it, {root.state()}."
    )
    if not (root.is_idle or root.is_outside_transaction or root.client_event):
        # At work in a thread of its own, or hidden: it may well continue.
        return Diagnosis(
            "waits_for_itself",
            told,
            f"Use one connection, or end its transaction before another one needs that lock. {_now(root)}",
            NO_SHARED_STATE,
        )
    return Diagnosis(
        "waits_for_itself",
        told,
        f"End the transaction of pid {root.party.pid} (commit, roll back or close it) before the other "
        "connection needs that lock, or use one connection. The server sees no deadlock: while the test is "
        f"inside the waiting call, this never goes on. {_now(root)}",
        NO_SHARED_STATE,
    )


def _of_the_same_test(root: RootBlocker) -> Party | None:
    """Returns the waiters behind the root that belong to its test; direct waiters come first."""
    test = root.session.identity if root.session else None
    if test is None:
        return None
    direct = [edge.waiter for edge in root.direct]
    others = sorted(root.graph.blocked_by(root.party).difference(direct))
    for waiter in (*direct, *others):
        session = root.graph.sessions.get(waiter)
        if session is not None and session.identity == test:
            return waiter
    return None


def idle_in_transaction(root: RootBlocker) -> Diagnosis | None:
    """A test, or its fixture, left a transaction open."""
    if not root.is_idle or not root.direct:
        return None
    table = root.direct[0].lock.foreign_key_of
    foreign_key = f", which a foreign key of {table} refers to" if table else ""
    first = root.direct[0]
    others = f"{root.also_held(first)}{root.besides(root.direct)}{table_rules.queue_in_words(root)}"
    about = table_rules.about_table_change(root)
    if first.subject and first.subject.kind == "row_or_key":
        about += f"{ROWS_AND_KEYS} "
    return Diagnosis(
        "idle_in_transaction",
        f"{root.who} left {root.open_transaction()}. {table_rules.longest_wait(root)}{foreign_key}{others}.",
        f"{COMMIT} {about}{table_rules.unblock_now(root)}",
        CLEAN_UP,
    )


ROWS_AND_KEYS = "Give each test rows of its own, and unique data instead of fixed test data."
"""Advice if either a row or a unique key is waited for."""
COMMIT = "Commit, roll back or close it in the fixture's clean-up."
"""Advice on a transaction that was left open."""


def waits_for_client(root: RootBlocker) -> Diagnosis | None:
    """A statement waits for its client, which neither reads on nor sends the rest."""
    if not root.client_event or not root.direct:
        return None
    reads = root.client_event == "ClientWrite"
    return Diagnosis(
        "waits_for_client",
        f"{root.who} is {root.state()}; {root.waiting(root.direct)} for "
        f"{root.direct[0].lock.target}{root.besides(root.direct)}.",
        (
            "Read all rows of a result, or close it, before the test goes on"
            if reads
            else "Send all of it, or abort it (COPY … FROM STDIN, a pipeline), before the test goes on"
        )
        + f"; the statement itself isn't slow. {_now(root)}",
        CLEAN_UP,
    )


def _now(root: RootBlocker) -> str:
    return f"To unblock now, {root.free()}."
