"""Diagnosis rules about whole tables: queues behind DDL, clean-ups, changes CONCURRENTLY. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pgwatch_tests.locks.diagnosis.evidence import NO_SHARED_STATE, OWN_DATA, Diagnosis, RootBlocker
from pgwatch_tests.locks.graph.release import release
from pgwatch_tests.locks.model import Edge, Party
from pgwatch_tests.locks.waits import lock_modes, statement_text
from pgwatch_tests.locks.waits.statement_text import truncated
from pgwatch_tests.text import durations

_ALONE = "AccessExclusiveLock"
# Modes that only statements about the table as a whole ask for.
_OF_TABLES = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", _ALONE)
# Statements that remove rows with the table. DROP INDEX and the like change the table: DELETE is no
# substitute.
_CLEAN_UPS = ("TRUNCATE", "DROP TABLE", "DROP SCHEMA", "DROP OWNED")
_UPKEEP = ("REINDEX", "CLUSTER", "VACUUM", "REFRESH")
_CHANGES_OF_TABLES = ("ALTER", "CREATE", "DROP", *_UPKEEP)
_LOCK = "LOCK"


def queue_behind_table_lock(root: RootBlocker) -> Diagnosis | None:
    """A statement that needs the table waits, and everyone after it waits too.

    ddl_queue: The statement changes the table or its indexes, or isn't known.
    table_lock: The statement is LOCK TABLE.
    truncate_or_cleanup_vs_test: The statement empties or drops the table.
    """
    for edge in root.direct:
        if edge.lock.mode not in _OF_TABLES or edge.lock.type != "relation":
            continue
        queued = root.queue(edge)
        if not queued:
            continue
        kind = root.statement_of(edge.waiter)
        cleanup = _is_clean_up(kind)
        if edge.lock.mode == _ALONE:
            needs = f"needs exclusive access to {edge.lock.target}"
        else:
            needs = f"needs {edge.lock.target} in {lock_modes.in_words(edge.lock.mode)} mode"
        return Diagnosis(
            "truncate_or_cleanup_vs_test"
            if cleanup
            else "table_lock"
            if kind.startswith(_LOCK)
            else "ddl_queue",
            f"{kind or 'A statement'} by {root.graph.who(edge.waiter)} {needs} "
            f"and has waited {durations.in_words(edge.wait_s)} for {root.who}, {root.state()}; "
            f"{queued:,} more {'queue' if queued > 1 else 'queues'} behind it.",
            f"{_instead_of(kind)} {unblock_now(root)}",
            OWN_DATA if cleanup else NO_SHARED_STATE,
        )
    return None


def _is_clean_up(kind: str) -> bool:
    return kind.startswith(_CLEAN_UPS)


def _instead_of(kind: str) -> str:
    """Returns advice to replace a statement that needs the whole table."""
    if _is_clean_up(kind):
        return "Clean up with DELETE of the test's own rows, not TRUNCATE or DROP."
    if kind.startswith(_LOCK):
        return "Lock the rows that a test needs (SELECT … FOR UPDATE), not the table."
    if not kind:
        return "Change, empty or lock whole tables while no tests run."
    if kind.startswith(_UPKEEP):
        return f"Run {kind} while no tests run."
    return "Change tables before the tests run, not while they run."


def cleanup_vs_test(root: RootBlocker) -> Diagnosis | None:
    """A clean-up needs a table alone, or has it and doesn't end: tests and it get in each other's way."""
    for edge in root.direct:
        if edge.lock.type != "relation":
            continue
        if edge.lock.held_mode == _ALONE and _has_taken(root, root.party, edge):
            kind = root.statement_of(root.party)
            edges = [one for one in root.direct if one.lock.target == edge.lock.target]
            return Diagnosis(
                "truncate_or_cleanup_vs_test",
                f"{root.who} has held {edge.lock.target} exclusively since its {kind} ({root.state()}); "
                f"{root.waiting(edges)} for it{root.besides(edges)}.",
                f"{_one_truncate(root, edge) or _instead_of(kind)} To unblock now, {root.free()}.",
                OWN_DATA,
            )
        kind = root.statement_of(edge.waiter)
        if edge.lock.mode == _ALONE and _is_clean_up(kind):
            return Diagnosis(
                "truncate_or_cleanup_vs_test",
                f"{kind} by {root.graph.who(edge.waiter)} needs exclusive access to {edge.lock.target} "
                f"and has waited {durations.in_words(edge.wait_s)} for {root.who}, {root.state()}"
                f"{root.besides([edge])}.",
                f"{_one_truncate(root, edge) or _instead_of(kind)} To unblock now, {root.free()}.",
                OWN_DATA,
            )
    return None


def _one_truncate(root: RootBlocker, edge: Edge) -> str:
    """Returns advice for two clean-ups that truncate table after table; empty if they don't."""
    truncates = [truncated(root.query_of(party)) for party in (edge.waiter, root.party)]
    return one_truncate([name for names in truncates for name in names]) if all(truncates) else ""


def one_truncate(tables: Iterable[str]) -> str:
    """Returns advice to empty several tables without deadlocks: TRUNCATE locks them in the listed order."""
    names = list(dict.fromkeys(tables))
    listed = ", ".join(names) if len(names) > 1 else "a, b, c"
    return (
        f"Empty all tables in one statement, always in the same order: TRUNCATE {listed}. Best from one "
        "process, while no tests run."
    )


def _has_taken(root: RootBlocker, party: Party, edge: Edge) -> bool:
    """Whether the clean-up that `party` ran last names the table: another statement may have locked it."""
    query = root.query_of(party)
    return _is_clean_up(statement_text.kind(query)) and statement_text.names(query, edge.lock.object)


def index_build_waits_for_transaction(root: RootBlocker) -> Diagnosis | None:
    """CONCURRENTLY waits for all transactions that could use the old state (manual, CREATE INDEX)."""
    edges = [edge for edge in root.direct if edge.lock.type == "virtualxid"]
    if not edges:
        return None
    kind, which, advice = _concurrently(root, edges[0])
    return Diagnosis(
        "index_build_waits_for_transaction",
        f"{kind} by {root.graph.who(edges[0].waiter)} has waited {durations.in_words(edges[0].wait_s)} for "
        f"{root.who}, {root.state()}, to end its transaction: {which}{root.besides(edges)}.",
        f"{advice} To unblock now, {root.free()}.",
        NO_SHARED_STATE,
    )


def _concurrently(root: RootBlocker, edge: Edge) -> tuple[str, str, str]:
    """Returns the name of a statement with CONCURRENTLY, whom it waits for, and when to run it."""
    query = root.query_of(edge.waiter)
    kind = root.statement_of(edge.waiter) or "A statement with CONCURRENTLY"
    of_table = "it waits for every transaction that has used the table"
    if kind.startswith("DROP"):
        # index_drop, src/backend/catalog/index.c: WaitForLockers, and for no snapshots.
        return kind, of_table, "Drop indexes before the tests run."
    if statement_text.has_words(query, "detach"):
        kind = f"{kind} … DETACH PARTITION CONCURRENTLY"
        return kind, of_table, "Detach partitions before the tests run."
    if "INDEX" in kind:
        # DefineIndex, src/backend/commands/indexcmds.c: for writers, then for snapshots.
        which = (
            "it waits for every transaction that writes to the table or has an older snapshot of any table"
        )
        return kind, which, "Build indexes before the tests run."
    return (
        kind,
        "it waits for every transaction that may use what it changes",
        "Change tables before the tests run.",
    )


def about_table_change(root: RootBlocker) -> str:
    """Returns advice on a change of a table on either side; empty if there is none, or it isn't known."""
    for edge in root.direct:
        if edge.lock.type == "virtualxid":
            return f"{_concurrently(root, edge)[2]} "
        modes_of_both = (edge.lock.mode, edge.lock.held_mode)
        if edge.lock.type != "relation" or not any(mode in _OF_TABLES for mode in modes_of_both):
            continue
        both = _one_truncate(root, edge)
        if both:
            return f"{both} "
        for party in (edge.waiter, root.party):
            kind = root.statement_of(party)
            if party == root.party and _is_clean_up(kind) and not _has_taken(root, party, edge):
                continue
            if kind.startswith((_LOCK, *_CLEAN_UPS, *_CHANGES_OF_TABLES)):
                return f"{_instead_of(kind)} "
    return ""


def _of_table(edge: Edge) -> bool:
    return edge.lock.type == "relation" and edge.lock.mode in _OF_TABLES


def longest_wait(root: RootBlocker) -> str:
    """`DROP TABLE by test_b (gw1, pid 12) has waited 1.5 s for table t`: the longest wait for the root."""
    edge = root.direct[0]
    waiting = f"{root.waiting(root.direct)} for"
    if edge.lock.type == "virtualxid":
        kind, which, _ = _concurrently(root, edge)
        return f"{kind} by {waiting} this transaction to end: {which}"
    kind = root.statement_of(edge.waiter) if _of_table(edge) else ""
    return f"{f'{kind} by ' if kind else ''}{waiting} {edge.lock.target}"


def _most_queued(root: RootBlocker) -> tuple[int, Edge | None]:
    waits = [(root.queue(edge), edge) for edge in root.direct if _of_table(edge)]
    return max(waits, key=lambda one: one[0], default=(0, None))


def queue_in_words(root: RootBlocker) -> str:
    """`, and 2 more queue behind that`; or empty."""
    queued, _ = _most_queued(root)
    return f", and {queued:,} more {'queue' if queued > 1 else 'queues'} behind that" if queued else ""


def _rest_goes_on(freed: int, left: int) -> str:
    """`1 of the other 3 goes on`: of those that still wait, how many can continue."""
    if not freed:
        return "frees nobody yet"
    if freed == left == 1:
        return "the other one goes on"
    of_all = f"{freed:,} of the other {left:,}" if freed < left else f"the other {left:,}"
    return f"{of_all} {'goes' if freed == 1 else 'go'} on"


def unblock_now(root: RootBlocker) -> str:
    """Returns what frees those that wait now: where a queue is behind one, in which order, or both choices.

    What frees more comes first: the root's end, or that of the statement which stands first in the queue. Of
    two equal ones, a transaction left open rather than a statement, and that rather than a test at work.
    """
    vain = "a cancel has no effect on an idle session" if root.is_idle else ""
    queued, edge = _most_queued(root)
    if edge is None or not queued:
        return f"To unblock now, {root.free()}{f': {vain}' if vain else ''}."
    kind = root.statement_of(edge.waiter) or "statement"
    cancel = f"the {kind} (SELECT pg_cancel_backend({edge.waiter.pid}))"
    alone = root.graph.wait_for_alone(root.party)
    behind = len(root.graph.wait_for_alone(edge.waiter))
    frees = f"frees {len(alone) or 'nobody'} at once"
    if edge.waiter in alone:
        follow = "follow" if queued > 1 else "follows"
        frees += f", the {kind}{'' if len(alone) == 1 else ' too'}; {queued:,} behind it {follow}"
    if behind and (behind > len(alone) or (behind == len(alone) and not root.is_idle)):
        end = root.free().replace("its", "the blocker's", 1)
        left = release(root.graph, edge.waiter)
        if left.next == root.party:
            still = len(root.graph.wait_for_alone(root.party, (edge.waiter,)))
            goes = f"{behind:,} {'go' if behind > 1 else 'goes'}"
            return (
                f"To unblock now, first cancel {cancel}: it fails, {goes} on at once. "
                f"Then {end}: {_rest_goes_on(still, left.blocks)}."
            )
        return f"To unblock now, cancel {cancel}: frees {behind:,} at once. Or {end}: {frees}."
    end = f"{root.free()}: {frees}{f' ({vain})' if vain else ''}"
    if behind:
        return f"To unblock now, {end}. Or cancel only {cancel}: frees {behind:,}."
    return f"To unblock now, {end}. To cancel {cancel} frees nobody: the others wait for the blocker, too."
