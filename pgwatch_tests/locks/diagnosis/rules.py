"""Diagnosis rules in order: each says why a root blocker blocks and what to do, or None. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.diagnosis import lock_origin, session_rules, table_rules, turns
from pgwatch_tests.locks.diagnosis.evidence import (
    CLEAN_UP,
    NO_SHARED_STATE,
    OWN_DATA,
    UNIQUE_DATA,
    Diagnosis,
    RootBlocker,
    advice_afterwards,
    patience,
    with_advice,
    with_patience,
)
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Edge, Party, Subject
from pgwatch_tests.locks.waits import statement_text
from pgwatch_tests.text import durations
from pgwatch_tests.text.sql_names import literal


def deadlock(root: RootBlocker) -> Diagnosis | None:
    """Sessions that wait for each other in a circle."""
    cycle = root.graph.deadlock_of(root.party)
    parties = cycle or root.graph.probable_deadlock_of(root.party)
    if not parties:
        return None
    steps = []
    edges = []
    for waiter, blocker in zip(parties, parties[1:] + parties[:1], strict=True):
        edge = root.graph.edge(waiter, blocker)
        assert edge is not None, "a cycle is made of shown edges"
        edges.append(edge)
        steps.append(
            f"{root.graph.who(waiter)} has waited {durations.in_words(edge.wait_s)} for {edge.lock.target} "
            f"behind {root.graph.who(blocker)}"
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
        + _in_one_order(root, edges),
        NO_SHARED_STATE,
    )


def _in_one_order(root: RootBlocker, edges: Sequence[Edge]) -> str:
    """Returns advice that prevents such a deadlock, by the waited-for locks."""
    emptied = [statement_text.truncated(root.query_of(edge.waiter)) for edge in edges]
    if all(emptied):
        return table_rules.one_truncate([edge.lock.object for edge in edges if edge.lock.object])
    if _is_upgrade(edges):
        each = "Both" if len(edges) == 2 else "All"
        return (
            f"{each} have locked that row before, with a weaker lock: take the stronger one at first "
            "(SELECT … FOR UPDATE), or give each test rows of its own."
        )
    if all(edge.subject is not None and edge.subject.kind == "unique_key" for edge in edges):
        return "Give each test unique data, or make the tests insert these keys in the same order."
    types = {edge.lock.type for edge in edges}
    if types <= {"tuple", "transactionid"}:
        return "Make the tests lock rows in the same order, or give each test rows of its own."
    if types == {"relation"}:
        return "Make the tests lock tables in the same order, the strongest lock first."
    if types == {"advisory"}:
        return "Make the tests take advisory locks in the same order, or use keys unique to each test."
    return "Make the tests take these locks in the same order."


def _is_upgrade(edges: Sequence[Edge]) -> bool:
    """Whether all wait for one and the same row: each must have locked it, for the others to wait for it."""
    rows = {_row(edge.subject) for edge in edges}
    return len(rows) == 1 and None not in rows


def _row(subject: Subject | None) -> tuple[object, ...] | None:
    """What tells a row from all others; None for anything else, and where it isn't known which row it is."""
    if subject is None or subject.kind != "row" or subject.page is None:
        return None
    return subject.database, subject.relations, subject.page, subject.offset


def connected_to_database(root: RootBlocker) -> Diagnosis | None:
    """A connected session keeps its database from being dropped, renamed, moved or copied."""
    edges = [edge for edge in root.direct if edge.kind == "connected"]
    if not edges:
        return None
    edge = edges[0]
    kind = root.statement_of(edge.waiter)
    others = len(root.graph.blockers(edge.waiter)) - 1
    more = f", and {others:,} more {'is' if others == 1 else 'are'}" if others else ""
    waited = durations.in_words(edge.wait_s)
    there = f"is connected to it{root.whereabouts()}, {root.state()}" if root.party.pid else "is in it"
    return Diagnosis(
        "connected_to_database",
        f"{kind or 'A statement'} by {root.graph.who(edge.waiter)} has waited {waited} for everybody "
        f"else to leave {edge.lock.target}: {root.who} {there}{more}. "
        'After 5 s the server gives up: "is being accessed by other users".',
        _leave(root, kind, edge.lock.target),
        CLEAN_UP,
    )


def _leave(root: RootBlocker, kind: str, target: str) -> str:
    if not root.party.pid:
        rollback = f"ROLLBACK PREPARED {literal(root.party.gid)}"
        return f"In {target}: {rollback} (or COMMIT PREPARED). No session owns it any more."
    if root.session and root.session.is_autovacuum:
        return "Wait: the server ends its autovacuum workers there by itself."
    if root.session and root.session.application_name == OWN_NAME:
        return "Wait: pgwatch-tests leaves the database by itself; close it if it doesn't."
    before = "the database is copied" if kind == "CREATE DATABASE" else "this"
    forced = "; DROP DATABASE … WITH (FORCE) ends all of them" if kind == "DROP DATABASE" else ""
    return (
        f"Close that session, its pool or its thread in the fixture's clean-up, before {before}. "
        f"To unblock now, end its session (SELECT pg_terminate_backend({root.party.pid})){forced}."
    )


def prepared_transaction(root: RootBlocker) -> Diagnosis | None:
    """A prepared transaction holds its locks until somebody ends it, across restarts."""
    if root.party.pid:
        return None
    age = durations.in_words(root.prepared.age_s) if root.prepared else "?"
    database = f"In database {root.prepared.database}" if root.prepared and root.prepared.database else ""
    return Diagnosis(
        "prepared_transaction",
        f"The prepared transaction {root.party.gid}, {age} old, still holds its locks; "
        f"{root.waiting(root.direct)} for {root.direct[0].lock.target}"
        f"{root.besides(root.direct)}.",
        f"{database or 'In its database'}: ROLLBACK PREPARED {literal(root.party.gid)} (or COMMIT PREPARED). "
        "No session owns it any more.",
        CLEAN_UP,
    )


def autovacuum(root: RootBlocker) -> Diagnosis | None:
    """Autovacuum works on the table (manual, Routine Vacuuming).

    autovacuum: It gives way to others by itself.
    autovacuum_to_prevent_wraparound: It prevents wraparound, and gives way to nobody.
    """
    if root.session is None or not root.session.is_autovacuum or not root.direct:
        return None
    edge = root.direct[0]
    about = f"{root.waiting(root.direct)} for {edge.lock.target}{root.besides(root.direct)}"
    if root.session.prevents_wraparound:
        return Diagnosis(
            "autovacuum_to_prevent_wraparound",
            f"Autovacuum (pid {root.party.pid}) is preventing transaction id wraparound; {about}.",
            f"Let it finish: it doesn't give way. Cancel the waiter (SELECT pg_cancel_backend"
            f"({edge.waiter.pid})); run VACUUM FREEZE on the table while no tests run.",
        )
    return Diagnosis(
        "autovacuum",
        f"Autovacuum (pid {root.party.pid}) is working on the table; {about}.",
        "Wait: it gives way by itself once deadlock_timeout is over.",
    )


def same_name(root: RootBlocker) -> Diagnosis | None:
    """Two sessions create objects of one name; IF NOT EXISTS sees only committed ones."""
    edges = root.waits_about("creation")
    if not edges:
        return None
    target = edges[0].lock.target
    if statement_text.created(root.query_of(root.party)) == target:
        both = f"both create {target}"
    else:
        both = f"it creates {target}, and that transaction has created, renamed or dropped one of that name"
    return Diagnosis(
        "same_name",
        f"{root.waiting(edges)} for {root.who}, {root.state()}, to "
        f"commit or roll back: {both}{root.besides(edges)}.",
        "Create it once, before the workers start, or take one pg_advisory_xact_lock around it: IF NOT "
        "EXISTS doesn't see uncommitted objects, so this one fails with a unique violation once the other "
        f"commits.{_left_open(root)} To unblock now, {root.free()}.",
        NO_SHARED_STATE,
    )


def same_key(root: RootBlocker) -> Diagnosis | None:
    """Two insert one key: the second must know whether the first commits."""
    edges = root.waits_about("unique_key")
    if not edges:
        return None
    return Diagnosis(
        "same_key",
        f"{root.waiting(edges)} for {root.who}, {root.state()}, to "
        f"commit or roll back: both write {_same_key(root, edges[0])}{root.besides(edges)}.",
        f"Give each test unique data instead of fixed test data.{_left_open(root)} "
        f"To unblock now, {root.free()}.",
        UNIQUE_DATA,
    )


def _same_key(root: RootBlocker, edge: Edge) -> str:
    """Returns the key that both write. An insert also waits for who has changed or deleted the key's row."""
    effects = statement_text.effects(root.query_of(root.party))
    verbs = {write.verb for write in effects.writes} if effects else set()
    if verbs and verbs <= {"UPDATE", "DELETE"}:
        return f"a row with the same {edge.lock.target}"
    return f"the same {edge.lock.target}"


def _left_open(root: RootBlocker) -> str:
    if not root.is_idle:
        return ""
    return " End the first one's transaction (commit, roll back or close it) in the fixture's clean-up."


def foreign_key_share(root: RootBlocker) -> Diagnosis | None:
    """A foreign key's check locks the row that is referred to (manual, Explicit Locking: FOR KEY SHARE)."""
    edges = [edge for edge in root.direct if edge.lock.foreign_key_of]
    # If the waiter checks its key, a transaction left open is the better explanation.
    if root.is_idle:
        edges = [edge for edge in edges if edge.subject and edge.subject.checking == "blocker"]
    if not edges:
        return None
    edge = edges[0]
    return Diagnosis(
        "foreign_key_share",
        f"{root.waiting(edges)} for the {edge.lock.target}: a foreign key of "
        f"{edge.lock.foreign_key_of} refers to it, and {root.who}, {root.state()}, hasn't ended its "
        f"transaction{root.also_held(edge)}{root.besides(edges)}.",
        "Give each test parent rows of its own, or don't delete or change the keys of shared ones."
        f"{_left_open(root)} To unblock now, {root.free()}.",
        OWN_DATA,
    )


def advisory_lock(root: RootBlocker) -> Diagnosis | None:
    """An advisory lock that is held too long."""
    edges = [edge for edge in root.direct if edge.lock.type == "advisory"]
    if not edges:
        return None
    return Diagnosis(
        "advisory_lock",
        f"{root.who} holds {edges[0].lock.target} ({root.state()}); "
        f"{root.waiting(edges)} for it{root.besides(edges)}.",
        _better_advisory_lock(root),
        NO_SHARED_STATE,
    )


def _better_advisory_lock(root: RootBlocker) -> str:
    """Returns advice for a lock of the session or of the transaction; the lock table doesn't say which it
    is."""
    query = root.query_of(root.party)
    end = f"end its session (SELECT pg_terminate_backend({root.party.pid}))"
    if root.is_outside_transaction or any(
        statement_text.has_words(query, function) for function in ("pg_advisory_lock", "pg_try_advisory_lock")
    ):
        return (
            "Use pg_advisory_xact_lock, with a key unique to each test, or call pg_advisory_unlock in the "
            f"fixture's clean-up. To unblock now, {end}: the lock belongs to the session, and stays when a "
            "statement is cancelled or a transaction ends."
        )
    better = f"Use a key unique to each test, and end the transaction soon.{_left_open(root)}"
    if statement_text.has_words(query, "pg_advisory_xact_lock"):
        return f"{better} To unblock now, {root.free()}."
    return (
        f"{better} To unblock now, {end}: a lock of pg_advisory_lock stays when a statement is cancelled or "
        "a transaction ends."
    )


def same_row(root: RootBlocker) -> Diagnosis | None:
    """Two want one row."""
    edges = root.waits_about("row")
    if not edges:
        return None
    return Diagnosis(
        "same_row",
        f"{root.waiting(edges)} for the {edges[0].lock.target}, which {root.who} has "
        f"changed or locked ({root.state()}){root.also_held(edges[0])}{root.besides(edges)}.",
        f"Give each test rows of its own. To unblock now, {root.free()}.",
        OWN_DATA,
    )


def same_row_or_key(root: RootBlocker) -> Diagnosis | None:
    """Two want one row or one key: neither the locks of both nor what can be read tells which."""
    edges = root.waits_about("row_or_key")
    if not edges:
        return None
    return Diagnosis(
        "same_row_or_key",
        f"{root.waiting(edges)} for {root.who}, {root.state()}, to "
        f"commit or roll back: both want the same {edges[0].lock.target}{root.besides(edges)}.",
        f"{session_rules.ROWS_AND_KEYS} To unblock now, {root.free()}.",
        OWN_DATA,
    )


def long_query(root: RootBlocker) -> Diagnosis | None:
    """A long query blocks others."""
    if not root.is_active:
        return None
    return Diagnosis("long_query", _doing(root), f"If it's in the way, {root.free()}.")


def unknown(root: RootBlocker) -> Diagnosis:
    """No other rule applies."""
    return Diagnosis("unknown", _doing(root), f"If it's in the way, {root.free()}.")


def _doing(root: RootBlocker) -> str:
    about = ""
    if root.direct:
        about = f"; {root.waiting(root.direct)} for {root.direct[0].lock.target}"
        about += root.besides(root.direct)
    return f"{root.who} {root.doing()}{about}."


RULES: tuple[Callable[[RootBlocker], Diagnosis | None], ...] = (
    deadlock,
    connected_to_database,
    prepared_transaction,
    autovacuum,
    session_rules.waits_for_itself,
    same_name,
    same_key,
    turns.named_lock,
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
"""The rules in order: the first one that applies is the diagnosis."""

# Causes that name a lock of the root, for which the statement that took it is of interest.
_ABOUT_A_LOCK = (
    *("waits_for_itself", "same_key", "advisory_lock", "foreign_key_share", "idle_in_transaction"),
    *("waits_for_client", "ddl_queue", "table_lock", "truncate_or_cleanup_vs_test", "same_row", "long_query"),
)

# Causes of which the root itself may be about to end what it does.
_MAY_GO_ON = frozenset(
    {
        *("same_name", "same_key", "advisory_lock", "foreign_key_share", "idle_in_transaction"),
        *("waits_for_client", "index_build_waits_for_transaction", "ddl_queue", "table_lock"),
        *("truncate_or_cleanup_vs_test", "same_row", "same_row_or_key", "long_query", "unknown"),
    }
)

_DIAGNOSES: WeakKeyDictionary[LockGraph, dict[Party, Diagnosis]] = WeakKeyDictionary()


def diagnose(graph: LockGraph, party: Party) -> Diagnosis:
    """Returns the diagnosis of the root blocker `party`, by the first rule that applies.

    It is made once for each graph: tree, detail and footer ask for it, where thousands may be looked through.
    """
    found = _DIAGNOSES.setdefault(graph, {})
    if party not in found:
        found[party] = _diagnosed(graph, party)
    return found[party]


def _diagnosed(graph: LockGraph, party: Party) -> Diagnosis:
    root = RootBlocker.of(graph, party)
    for rule in RULES:
        diagnosis = rule(root)
        if diagnosis is not None:
            break
    else:
        diagnosis = unknown(root)
    if taking_turns := turns.advice(root, diagnosis.cause):
        diagnosis = replace(diagnosis, advice=with_advice(diagnosis.advice, taking_turns))
    if diagnosis.cause in _MAY_GO_ON and (just_begun := patience(root.session)):
        diagnosis = replace(diagnosis, advice=with_patience(diagnosis.advice, just_begun))
    if graph.snapshot.is_past:
        diagnosis = replace(diagnosis, advice=advice_afterwards(diagnosis.advice))
    remark = lock_origin.remark(root) if diagnosis.cause in _ABOUT_A_LOCK else ""
    return replace(diagnosis, explanation=f"{diagnosis.explanation} {remark}") if remark else diagnosis
