"""Diagnosis rules in order: each says why a root blocker blocks and what to do, or None. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.diagnosis import lock_origin, session_rules, table_rules
from pgwatch_tests.locks.diagnosis.evidence import (
    CLEAN_UP,
    NO_SHARED_STATE,
    OWN_DATA,
    UNIQUE_DATA,
    Case,
    Diagnosis,
)
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Edge, Party
from pgwatch_tests.locks.waits import statement_text
from pgwatch_tests.text import durations
from pgwatch_tests.text.sql_names import literal


def deadlock(case: Case) -> Diagnosis | None:
    """Sessions that wait for each other in a circle."""
    cycle = case.graph.deadlock_of(case.root)
    parties = cycle or case.graph.probable_deadlock_of(case.root)
    if not parties:
        return None
    steps = []
    edges = []
    for waiter, blocker in zip(parties, parties[1:] + parties[:1], strict=True):
        edge = case.graph.edge(waiter, blocker)
        assert edge is not None, "a cycle is made of shown edges"
        edges.append(edge)
        steps.append(
            f"{case.graph.who(waiter)} has waited {durations.in_words(edge.wait_s)} for {edge.lock.target} "
            f"behind {case.graph.who(blocker)}"
        )
    return Diagnosis(
        "deadlock",
        f"{'Deadlock' if cycle else 'Probably a deadlock'}: {'; '.join(steps)}.",
        (
            # DeadLockCheck, src/backend/storage/lmgr/deadlock.c: another order of a queue may do.
            "After deadlock_timeout the server lets one of them pass in the queue, or ends one. "
            if any(edge.kind == "soft" for edge in edges)
            else "The server ends one of them after deadlock_timeout. "
        )
        + _in_one_order(case, edges),
        NO_SHARED_STATE,
    )


def _in_one_order(case: Case, edges: Sequence[Edge]) -> str:
    """What keeps such a deadlock from coming back, by what is waited for."""
    emptied = [statement_text.truncated(case.query_of(edge.waiter)) for edge in edges]
    if all(emptied):
        return table_rules.one_truncate([edge.lock.object for edge in edges if edge.lock.object])
    types = {edge.lock.type for edge in edges}
    if types <= {"tuple", "transactionid"}:
        return "Make the tests lock rows in the same order, or give each test rows of its own."
    if types == {"relation"}:
        return "Make the tests lock tables in the same order, the strongest lock first."
    if types == {"advisory"}:
        return "Make the tests take advisory locks in the same order, or use keys unique to each test."
    return "Make the tests take these locks in the same order."


def connected_to_database(case: Case) -> Diagnosis | None:
    """Whoever is connected to a database keeps it from being dropped, renamed, moved or copied."""
    edges = [edge for edge in case.direct if edge.kind == "connected"]
    if not edges:
        return None
    edge = edges[0]
    kind = case.statement_of(edge.waiter)
    others = len(case.graph.blockers(edge.waiter)) - 1
    more = f", and {others:,} more {'is' if others == 1 else 'are'}" if others else ""
    waited = durations.in_words(edge.wait_s)
    there = f"is connected to it{case.whereabouts()}, {case.state()}" if case.root.pid else "is in it"
    return Diagnosis(
        "connected_to_database",
        f"{kind or 'A statement'} by {case.graph.who(edge.waiter)} has waited {waited} for everybody "
        f"else to leave {edge.lock.target}: {case.who} {there}{more}. "
        'After 5 s the server gives up: "is being accessed by other users".',
        _leave(case, kind, edge.lock.target),
        CLEAN_UP,
    )


def _leave(case: Case, kind: str, target: str) -> str:
    if not case.root.pid:
        rollback = f"ROLLBACK PREPARED {literal(case.root.gid)}"
        return f"In {target}: {rollback} (or COMMIT PREPARED). No session owns it any more."
    if case.session and case.session.backend_type == "autovacuum worker":
        return "Wait: the server ends its autovacuum workers there by itself."
    if case.session and case.session.application_name == OWN_NAME:
        return "Wait: pgwatch-tests leaves the database by itself; close it if it doesn't."
    before = "the database is copied" if kind == "CREATE DATABASE" else "this"
    forced = "; DROP DATABASE … WITH (FORCE) ends all of them" if kind == "DROP DATABASE" else ""
    return (
        f"Close that session, its pool or its thread in the fixture's clean-up, before {before}. "
        f"To unblock now, end its session (SELECT pg_terminate_backend({case.root.pid})){forced}."
    )


def prepared_transaction(case: Case) -> Diagnosis | None:
    """A prepared transaction holds its locks until somebody ends it, across restarts."""
    if case.root.pid:
        return None
    age = durations.in_words(case.prepared.age_s) if case.prepared else "?"
    database = f"In database {case.prepared.database}" if case.prepared and case.prepared.database else ""
    return Diagnosis(
        "prepared_transaction",
        f"The prepared transaction {case.root.gid}, {age} old, still holds its locks; "
        f"{case.waiting(case.direct)} for {case.direct[0].lock.target}"
        f"{case.besides(case.direct)}.",
        f"{database or 'In its database'}: ROLLBACK PREPARED {literal(case.root.gid)} (or COMMIT PREPARED). "
        "No session owns it any more.",
        CLEAN_UP,
    )


def autovacuum(case: Case) -> Diagnosis | None:
    """Autovacuum gives way to others, unless it prevents wraparound (manual, Routine Vacuuming)."""
    if case.session is None or case.session.backend_type != "autovacuum worker" or not case.direct:
        return None
    edge = case.direct[0]
    about = f"{case.waiting(case.direct)} for {edge.lock.target}{case.besides(case.direct)}"
    if "(to prevent wraparound)" in case.session.query:
        return Diagnosis(
            "autovacuum_to_prevent_wraparound",
            f"Autovacuum (pid {case.root.pid}) is preventing transaction id wraparound; {about}.",
            f"Let it finish: it doesn't give way. Cancel the waiter (SELECT pg_cancel_backend"
            f"({edge.waiter.pid})); run VACUUM FREEZE on the table while no tests run.",
        )
    return Diagnosis(
        "autovacuum",
        f"Autovacuum (pid {case.root.pid}) is working on the table; {about}.",
        "Wait: it gives way by itself once deadlock_timeout is over.",
    )


def same_name(case: Case) -> Diagnosis | None:
    """Two sessions create objects of one name; IF NOT EXISTS sees only committed ones."""
    edges = [edge for edge in case.direct if edge.subject and edge.subject.kind == "creation"]
    if not edges:
        return None
    target = edges[0].lock.target
    if statement_text.created(case.query_of(case.root)) == target:
        both = f"both create {target}"
    else:
        both = f"it creates {target}, and that transaction has created, renamed or dropped one of that name"
    return Diagnosis(
        "same_name",
        f"{case.waiting(edges)} for {case.who}, {case.state()}, to "
        f"commit or roll back: {both}{case.besides(edges)}.",
        "Create it once, before the workers start, or take one pg_advisory_xact_lock around it: IF NOT "
        "EXISTS doesn't see uncommitted objects, so this one fails with a unique violation once the other "
        f"commits.{_left_open(case)} To unblock now, {case.free()}.",
        NO_SHARED_STATE,
    )


def same_key(case: Case) -> Diagnosis | None:
    """Two insert one key: the second must know whether the first commits."""
    edges = [edge for edge in case.direct if edge.subject and edge.subject.kind == "unique_key"]
    if not edges:
        return None
    return Diagnosis(
        "same_key",
        f"{case.waiting(edges)} for {case.who}, {case.state()}, to "
        f"commit or roll back: both write {_same_key(case, edges[0])}{case.besides(edges)}.",
        f"Give each test unique data instead of fixed test data.{_left_open(case)} "
        f"To unblock now, {case.free()}.",
        UNIQUE_DATA,
    )


def _same_key(case: Case, edge: Edge) -> str:
    """What both write. Who inserts a key waits for whoever has changed or deleted its row, too."""
    effects = statement_text.effects(case.query_of(case.root))
    verbs = {write.verb for write in effects.writes} if effects else set()
    if verbs and verbs <= {"UPDATE", "DELETE"}:
        return f"a row with the same {edge.lock.target}"
    return f"the same {edge.lock.target}"


def _left_open(case: Case) -> str:
    if not case.is_idle:
        return ""
    return " End the first one's transaction (commit, roll back or close it) in the fixture's clean-up."


def foreign_key_share(case: Case) -> Diagnosis | None:
    """A foreign key's check locks the row that is referred to (manual, Explicit Locking: FOR KEY SHARE)."""
    edges = [edge for edge in case.direct if edge.lock.foreign_key_of]
    # Where the waiter checks its key, a transaction that is left open is the better part of the story.
    if case.is_idle:
        edges = [edge for edge in edges if edge.subject and edge.subject.checking == "blocker"]
    if not edges:
        return None
    edge = edges[0]
    return Diagnosis(
        "foreign_key_share",
        f"{case.waiting(edges)} for the {edge.lock.target}: a foreign key of "
        f"{edge.lock.foreign_key_of} refers to it, and {case.who}, {case.state()}, hasn't ended its "
        f"transaction{case.also_held(edge)}{case.besides(edges)}.",
        "Give each test parent rows of its own, or don't delete or change the keys of shared ones."
        f"{_left_open(case)} To unblock now, {case.free()}.",
        OWN_DATA,
    )


def advisory_lock(case: Case) -> Diagnosis | None:
    """An advisory lock that is held too long."""
    edges = [edge for edge in case.direct if edge.lock.type == "advisory"]
    if not edges:
        return None
    return Diagnosis(
        "advisory_lock",
        f"{case.who} holds {edges[0].lock.target} ({case.state()}); "
        f"{case.waiting(edges)} for it{case.besides(edges)}.",
        _better_advisory_lock(case),
        NO_SHARED_STATE,
    )


def _better_advisory_lock(case: Case) -> str:
    """By whose the lock is: the session's, or the transaction's. The lock table doesn't say which."""
    query = case.query_of(case.root)
    end = f"end its session (SELECT pg_terminate_backend({case.root.pid}))"
    if case.is_outside_transaction or any(
        statement_text.has_words(query, function) for function in ("pg_advisory_lock", "pg_try_advisory_lock")
    ):
        return (
            "Use pg_advisory_xact_lock, with a key unique to each test, or call pg_advisory_unlock in the "
            f"fixture's clean-up. To unblock now, {end}: the lock belongs to the session, and stays when a "
            "statement is cancelled or a transaction ends."
        )
    better = f"Use a key unique to each test, and end the transaction soon.{_left_open(case)}"
    if statement_text.has_words(query, "pg_advisory_xact_lock"):
        return f"{better} To unblock now, {case.free()}."
    return (
        f"{better} To unblock now, {end}: a lock of pg_advisory_lock stays when a statement is cancelled or "
        "a transaction ends."
    )


def same_row(case: Case) -> Diagnosis | None:
    """Two want one row."""
    edges = [edge for edge in case.direct if edge.subject and edge.subject.kind == "row"]
    if not edges:
        return None
    return Diagnosis(
        "same_row",
        f"{case.waiting(edges)} for the {edges[0].lock.target}, which {case.who} has "
        f"changed or locked ({case.state()}){case.also_held(edges[0])}{case.besides(edges)}.",
        f"Give each test rows of its own. To unblock now, {case.free()}.",
        OWN_DATA,
    )


def same_row_or_key(case: Case) -> Diagnosis | None:
    """Two want one row or one key: neither the locks of both nor what can be read tells which."""
    edges = [edge for edge in case.direct if edge.subject and edge.subject.kind == "row_or_key"]
    if not edges:
        return None
    return Diagnosis(
        "same_row_or_key",
        f"{case.waiting(edges)} for {case.who}, {case.state()}, to "
        f"commit or roll back: both want the same {edges[0].lock.target}{case.besides(edges)}.",
        f"{session_rules.ROWS_AND_KEYS} To unblock now, {case.free()}.",
        OWN_DATA,
    )


def long_query(case: Case) -> Diagnosis | None:
    """A statement that takes its time."""
    if not case.is_active:
        return None
    return Diagnosis("long_query", _doing(case), f"If it's in the way, {case.free()}.")


def unknown(case: Case) -> Diagnosis:
    """Whatever none of the rules tells."""
    return Diagnosis("unknown", _doing(case), f"If it's in the way, {case.free()}.")


def _doing(case: Case) -> str:
    about = ""
    if case.direct:
        about = f"; {case.waiting(case.direct)} for {case.direct[0].lock.target}"
        about += case.besides(case.direct)
    return f"{case.who} is {case.state()}{about}."


RULES: tuple[Callable[[Case], Diagnosis | None], ...] = (
    deadlock,
    connected_to_database,
    prepared_transaction,
    autovacuum,
    session_rules.waits_for_itself,
    same_name,
    same_key,
    advisory_lock,
    foreign_key_share,
    session_rules.idle_in_transaction,
    session_rules.waits_for_client,
    table_rules.index_build_waits_for_transaction,
    table_rules.queue_behind_table_lock,
    table_rules.cleanup_vs_test,
    same_row,
    same_row_or_key,
    long_query,
)
"""In the order in which they are tried: the first that applies is the diagnosis."""

# Causes that tell of a lock which the root holds, so that one wonders what has taken it.
_ABOUT_A_LOCK = (
    *("waits_for_itself", "same_key", "advisory_lock", "foreign_key_share", "idle_in_transaction"),
    *("waits_for_client", "ddl_queue", "table_lock", "truncate_or_cleanup_vs_test", "same_row", "long_query"),
)


def diagnose(graph: LockGraph, root: Party) -> Diagnosis:
    """Why `root` blocks, and what to do about it: the first rule that applies."""
    case = Case.of(graph, root)
    for rule in RULES:
        found = rule(case)
        if found is not None:
            break
    else:
        found = unknown(case)
    remark = lock_origin.remark(case) if found.cause in _ABOUT_A_LOCK else ""
    return replace(found, explanation=f"{found.explanation} {remark}") if remark else found
