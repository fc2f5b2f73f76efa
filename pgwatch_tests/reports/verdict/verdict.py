"""Verdict on a server in sentences: the largest trouble first, and what a suite waits for if none blocks.

Pure. `verdict_line` makes one line of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.diagnosis.evidence import patience
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party, Session
from pgwatch_tests.reports.locks.test_labels import label_of, name_of
from pgwatch_tests.reports.verdict.standstill import Standstill, standstill
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import at_least, plural
from pgwatch_tests.text.plain_text import plain, shortened_left, shortened_middle
from pgwatch_tests.text.times import short_minute
from pgwatch_tests.text.toned_text import Tone

if TYPE_CHECKING:
    from pgwatch_tests.leaks.model import LeakReport
    from pgwatch_tests.locks.contention.last_troubles import Trouble

LONG_IDLE_S = 60.0
"""A transaction left open for so long is a warning, also where nothing waits for it."""

_NAMED = 2
_LONGEST_NAME = 48
_SHORT_NAME = 24
_SHORTER_NAMES = (20, 17, 12)
"""Where two names shall fit in 80 columns."""
_WHOLE_NAME = 500
_LONGEST_LOCK, _SHORT_LOCK = 100, 48
_SHORT_WAIT_S = 1.0
_LATE_S = 60.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What a verdict rests on. `leaks` is None where rows weren't counted; `leaks_trouble` says why."""

    leaks: LeakReport | None = None
    leaks_trouble: str = ""
    leaks_age_s: float = 0.0
    """How much older the count of leaks is than the snapshot, in steps; 0 where it is about as new."""
    counts_leaks: bool = True
    """Whether anybody counts leaked rows here: where nobody does, nothing is said of them."""
    next_sweep: datetime | None = None
    runs: int = 0
    """How many runs of `pgwatch-tests run` are under way."""
    run_pids: frozenset[int] = frozenset()
    """The sessions of these runs themselves, which aren't their suites'."""
    is_recorded: bool = False
    """Whether all is of a recording, whose leaks were counted at its end."""
    is_stale: bool = False
    """Whether the snapshot is the last one of a server that no longer answers."""
    troubles: tuple[Trouble, ...] = ()
    """Those that are over, the last one first."""


LOCKS_ONLY = Facts(counts_leaks=False)
"""Where only locks are looked at, as in `locks`."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One sentence of a verdict in plain text: its forms from the longest to the shortest."""

    forms: tuple[str, ...]
    tone: Tone = ""
    anonymous: str = ""
    """A form without names, for a line that has no room for one."""
    hint: str = ""
    """Which key helps, after the sentence; it goes before a trouble does."""

    @property
    def is_trouble(self) -> bool:
        """Whether it tells of something to be mended."""
        return self.tone in ("trouble", "warning")


def clauses(graph: LockGraph, facts: Facts) -> tuple[Clause, ...]:
    """The sentences of the verdict, the largest trouble first; never none.

    Where anything wasn't checked, can't be seen or is old, nothing has the tone `good`.
    """
    snapshot = graph.snapshot
    blocked = [*_deadlocks(graph), *_first_root(graph)]
    found = [*blocked, *_capacity(snapshot.capacity)]
    still = None if blocked or snapshot.blocked else standstill(snapshot, facts.run_pids)
    leaks = _leaks(snapshot, facts)
    if blocked:
        found += leaks
    else:
        found += _late_deadlocks(snapshot, facts.troubles)
        calm = _calm(snapshot, still)
        # A suite that is over is idle, too: what it left is news then, and nobody asks why it hangs.
        is_over = still is not None and still.is_idle and facts.leaks is not None and facts.leaks.leftovers
        found += [*reversed(leaks), calm] if is_over else [calm, *leaks]
    found += [*_other_roots(graph), *_left_open(graph, still)]
    found += [*_hidden(snapshot), *_plans(snapshot, facts)]
    # What is calm comes after any trouble.
    found.sort(key=lambda clause: not clause.is_trouble)
    is_well = all(clause.tone in ("good", "quiet") for clause in found) and not facts.is_stale
    if is_well and facts.leaks is not None and not facts.leaks_trouble:
        return tuple(found)
    return tuple(replace(one, tone="") if one.tone == "good" else one for one in found)


def with_hint(found: Sequence[Clause], hint: str) -> tuple[Clause, ...]:
    """The sentences, of which the first one, about `subject`, is followed by which key helps."""
    return (replace(found[0], hint=hint), *found[1:]) if hint and found else tuple(found)


def subject(graph: LockGraph) -> Party | None:
    """Whom the first sentence is about: one of a deadlock, else the largest root blocker; None without."""
    snapshot = graph.snapshot
    cycles = (*snapshot.deadlocks, *snapshot.probable_deadlocks)
    return cycles[0][0] if cycles else next(iter(graph.root_blockers), None)


# What is blocked.


def _deadlocks(graph: LockGraph) -> list[Clause]:
    snapshot = graph.snapshot
    found = [_deadlock(graph, cycle, "deadlock", "trouble") for cycle in snapshot.deadlocks]
    known = set(snapshot.deadlocks)
    return found + [
        _deadlock(graph, cycle, "seem to deadlock", "warning")
        for cycle in snapshot.probable_deadlocks
        if cycle not in known
    ]


def _deadlock(graph: LockGraph, cycle: Sequence[Party], what: str, tone: Tone) -> Clause:
    named = [short_name(graph, party, _WHOLE_NAME) for party in cycle[:_NAMED]]
    whole = f"{what} each other"
    forms = [f"{names} {whole}" for names in _named(named, len(cycle), (_LONGEST_NAME, _SHORT_NAME))]
    # Who they are says more than how many.
    forms += [f"{names} {what}" for names in _named(named, len(cycle), (_SHORT_NAME, *_SHORTER_NAMES))]
    return Clause(tuple(dict.fromkeys(forms)), tone, f"{len(cycle):,} sessions {whole}")


def _named(names: Sequence[str], number: int, limits: Sequence[int]) -> list[str]:
    """`test_a and test_b`, `test_a, test_b and 3 more`: once per limit that still tells the names apart."""
    found = []
    for limit in limits:
        shown = [shortened_middle(name, limit) for name in names]
        if len(set(shown)) == len(set(names)):
            rest = number - len(names)
            more = f"{', '.join(shown)} and {rest:,} more" if rest > 0 else ""
            found.append(more or " and ".join(shown))
    return found


def _late_deadlocks(snapshot: LockSnapshot, troubles: Sequence[Trouble]) -> list[Clause]:
    """Deadlocks that the server has ended: tests that repeat them look free in most polls."""
    since = snapshot.sampled_at - timedelta(seconds=_LATE_S)
    late = [one for one in troubles if one.is_deadlock and since <= one.began <= snapshot.sampled_at]
    if not late:
        return []
    words = f"{plural(len(late), 'deadlock')} in the last minute"
    names = [plain(one) for one in late[0].names]
    forms = [f"{words}: {plain(late[0].who)}"]
    if names:
        limits = (_LONGEST_NAME, _SHORT_NAME, *_SHORTER_NAMES)
        forms += [f"{words}: {shown}" for shown in _named(names, len(names), limits)]
    return [Clause(tuple(dict.fromkeys(forms)), "warning", words)]


def _first_root(graph: LockGraph) -> list[Clause]:
    return [_root(graph, root) for root in graph.root_blockers[:1]]


def _other_roots(graph: LockGraph) -> list[Clause]:
    roots = graph.root_blockers[1:]
    behind = {party for root in roots for party in graph.blocked_by(root)}
    if not roots:
        return []
    words = plural(len(roots), "more blocker")
    return [Clause((f"{words}, {len(behind):,} waiting", words), "notice")]


def _root(graph: LockGraph, root: Party) -> Clause:
    behind = graph.blocked_by(root)
    sessions = [graph.sessions.get(party) for party in behind]
    are_tests = all(one is not None and one.identity is not None for one in sessions)
    blocks = f"blocks {plural(len(behind), 'test' if are_tests else 'session')}"
    longest_s = graph.longest_wait_s(root)
    since = f" for {durations.in_words(longest_s)}" if longest_s else ""
    waited = waited_for(graph, root)
    targets = dict.fromkeys(shortened_left(waited, limit) for limit in (_LONGEST_LOCK, _SHORT_LOCK))
    name, short = short_name(graph, root, _LONGEST_NAME), short_name(graph, root, _SHORT_NAME)
    forms = [f"{name} {blocks}{since}", f"{short} {blocks}{since}", f"{short} {blocks}"]
    if waited:
        forms = [*(f"{forms[0]} ({target})" for target in targets), *forms]
    is_trouble = longest_s >= _SHORT_WAIT_S and not patience(graph.sessions.get(root))
    return Clause(tuple(dict.fromkeys(forms)), "trouble" if is_trouble else "warning")


def waited_for(graph: LockGraph, root: Party) -> str:
    """What the session that has waited longest for `root` itself waits for."""
    waiter = max(sorted(graph.waiters(root)), key=lambda one: graph.wait_s(one) or 0.0, default=None)
    groups = graph.groups.get(waiter, ()) if waiter is not None else ()
    return next((plain(one.lock.target or one.lock.type) for one in groups if root in one.blockers), "")


def short_name(graph: LockGraph, party: Party, limit: int) -> str:
    """The test's own name, else the application's, else the pid; its end stays where it is too long."""
    if not party.pid:
        return f"prepared transaction {shortened_left(plain(party.gid), limit)}"
    session = graph.sessions.get(party)
    if session is not None and session.identity is not None:
        return _test_name(graph, session, limit)
    return str(party) if session is None else f"{shortened_left(name_of(session), limit)} (pid {party.pid})"


def _test_name(graph: LockGraph, session: Session, limit: int) -> str:
    """The test's own name; with its hash only if another test that is cut, too, has the same name."""
    label = label_of(session)
    if not label.mark:
        return shortened_left(label.name, limit)
    others = (label_of(one) for one in graph.sessions.values() if one.identity != session.identity)
    is_alone = all(one.name != label.name or one.mark == label.mark for one in others)
    return shortened_left(label.name if is_alone else f"{label.name} {label.mark}", limit)


# What else is wrong with the server, or may be.


def _capacity(capacity: Capacity | None) -> list[Clause]:
    if capacity is None:
        return []
    found = []
    taken = f"{capacity.connections:,} of {capacity.max_connections:,}"
    if capacity.connections >= capacity.for_all:
        found.append(Clause((f"connections used up ({taken})", "connections used up"), "trouble"))
    elif capacity.connections_nearly_used_up:
        found.append(Clause((f"connections nearly used up ({taken})", f"{taken} connections"), "warning"))
    if capacity.lock_table_nearly_full:
        found.append(Clause(("lock table nearly full",), "warning"))
    return found


def _calm(snapshot: LockSnapshot, found: Standstill | None) -> Clause:
    """That nothing is blocked; and what the suite's sessions wait for, if none has changed for long."""
    if snapshot.blocked:
        # A ring that one poll has seen, and that isn't told yet.
        return Clause((f"{plural(snapshot.blocked, 'session')} waiting",), "warning")
    nothing = "nothing is blocked"
    if found is None:
        return Clause((nothing,), "good")
    still = durations.in_words(found.still_s)
    if found.is_idle:
        idle = _all_of(found, snapshot)
        outside = "the cause is outside of the database"
        return Clause(
            (
                f"{nothing}, {idle} idle for {still}: if the suite hangs, {outside}",
                f"{idle} idle for {still}: if the suite hangs, {outside}",
                f"{idle} idle for {still}: a hang's cause isn't in the database",
                f"{idle} idle: if the suite hangs, look elsewhere",
            ),
            "notice",
        )
    words = found.doing
    no_session = "no test's session" if found.are_tests else "no session"
    unchanged = f"{'tests' if found.are_tests else 'sessions'} unchanged for {still}"
    fewer = [f"{', '.join(words[:number])}, …" for number in range(len(words) - 1, 0, -1)]
    return Clause(
        (
            f"{nothing}, but {no_session} has changed for {still}: {', '.join(words)}",
            f"{no_session} has changed for {still}: {', '.join(words)}",
            *(f"{unchanged}: {some}" for some in (", ".join(words), *fewer)),
        ),
        "warning",
    )


def _all_of(found: Standstill, snapshot: LockSnapshot) -> str:
    """`all 12 sessions of tests`: whose they are is said where there are others, as the tab of all tells."""
    number = len(found.sessions)
    if number == len(snapshot.clients):
        return f"all {number:,} sessions" if number > 1 else "the only session"
    if found.are_tests:
        return f"all {number:,} sessions of tests" if number > 1 else "the only session of a test"
    where = f"in {plain(snapshot.database, _SHORT_NAME)}"
    return f"all {number:,} sessions {where}" if number > 1 else f"the only session {where}"


def _left_open(graph: LockGraph, still: Standstill | None) -> list[Clause]:
    """Transactions left open that nobody waits for yet, without those that `still` tells of."""
    told = {one.pid for one in still.sessions} if still is not None and not still.is_idle else set()
    ages_s = [
        one.state_age_s
        for one in graph.snapshot.clients
        if (one.state or "").startswith("idle in transaction")
        and one.state_age_s is not None
        and one.state_age_s >= LONG_IDLE_S
        and one.pid not in told
        and not graph.blocks_directly(Party(one.pid))
    ]
    if not ages_s:
        return []
    words = f"{plural(len(ages_s), 'other session' if told else 'session')} idle in transaction"
    return [Clause((f"{words} for up to {durations.in_words(max(ages_s))}", words), "warning")]


def _hidden(snapshot: LockSnapshot) -> list[Clause]:
    hidden = snapshot.hidden_sessions
    words = f"{plural(hidden, 'session')} hidden"
    return [Clause((f"{words} (GRANT pg_monitor shows them)", words), "notice")] if hidden else []


# Rows that were left, and what comes.


def _leaks(snapshot: LockSnapshot, facts: Facts) -> list[Clause]:
    report = facts.leaks
    if not facts.counts_leaks:
        return []
    if report is None:
        if facts.leaks_trouble:
            return [Clause(("leaked rows not counted",), "notice")]
        return [] if facts.is_recorded else [Clause(("leaked rows not counted yet",), "quiet")]
    databases = {one.database for one in snapshot.clients if one.database}
    where = f" in {plain(report.database, 24)}" if len(databases | {report.database}) > 1 else ""
    ago = f"{durations.in_words(facts.leaks_age_s)} ago" if facts.leaks_age_s else ""
    latest = " (latest count failed)" if facts.leaks_trouble else f" (counted {ago})" if ago else ""
    if facts.leaks_trouble and ago:
        latest = f" (counted {ago}, latest count failed)"
    at_end = " at the end" if facts.is_recorded else " now" if snapshot.is_past else ""
    unread = len(report.skipped) + len(report.unchecked)
    found = []
    if report.total:
        words = (
            f"{at_least(report.total, not report.skipped)} {'row' if report.total == 1 else 'rows'} leaked"
        )
        forms = (f"{words}{where}{at_end}{latest}", f"{words}{at_end}{latest}", f"{words}{at_end}")
        found.append(Clause(tuple(dict.fromkeys(forms)), "warning"))
    elif report.complete:
        words = f"no rows leaked{where}{at_end}"
        found.append(Clause((f"{words}{latest}",), "" if latest else "good"))
    if unread:
        none = "" if report.total else f"no leaked rows found{where}{at_end}, but "
        found.append(Clause((f"{none}{unread:,} not checked for leaks",), "notice"))
    if report.leftovers:
        found.append(_leftovers(report, where))
    return found


def _leftovers(report: LeakReport, where: str) -> Clause:
    """What is left beside rows: by name if it is one, else by the kind of which there is most."""
    # What only needs to be known once something was counted.
    from pgwatch_tests.leaks.model import LEFTOVER_NOUNS

    number = len(report.leftovers)
    [(kind, most), *_] = Counter(one.kind for one in report.leftovers).most_common()
    one, several = LEFTOVER_NOUNS[kind]
    left = f"left{where}"
    if kind == "idle_in_transaction":
        # How many are idle in a transaction just now may be told beside it, and is another number.
        one, several, left = "transaction", "transactions", f"left open for a while{where}"
    short = f"{plural(number, 'leftover')}{where}"
    if number == 1:
        name = plain(report.leftovers[0].name)
        forms = [f"{one} {shortened_middle(name, limit)} {left}" for limit in (_LONGEST_NAME, _SHORT_NAME)]
        return Clause((*dict.fromkeys(forms), short), "notice", f"{one} {left}")
    more = f", {plural(number - most, 'other leftover')}" if number > most else ""
    return Clause((f"{plural(most, one, several)} {left}{more}", short), "notice")


def _plans(snapshot: LockSnapshot, facts: Facts) -> list[Clause]:
    found = []
    if facts.next_sweep is not None:
        at = short_minute(facts.next_sweep, snapshot.sampled_at)
        found.append(Clause((f"next sweep {at}", f"sweep {at}"), "quiet"))
    if facts.runs:
        found.append(Clause((f"{plural(facts.runs, 'run')} under way",), "quiet"))
    return found
