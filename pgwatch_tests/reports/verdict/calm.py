"""Words for a server where nothing is blocked: its sessions, and the last troubles. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pgwatch_tests.locks.contention.last_troubles import Trouble
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.locks.lock_tree import NOTHING_BLOCKED
from pgwatch_tests.reports.locks.wait_tones import of_wait
from pgwatch_tests.reports.render.detail_text import KeyName, Line
from pgwatch_tests.reports.verdict.capacity_use import what_to_do
from pgwatch_tests.reports.verdict.standstill import in_sessions, standstill, where_to_look
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.toned_text import Toned

_SHOWN = 12


def calm_line(snapshot: LockSnapshot) -> Toned:
    """`Nothing is blocked. 31 sessions, 2 idle in transaction for up to 0.3 s.`"""
    idle = [one for one in snapshot.clients if (one.state or "").startswith("idle in transaction")]
    words = f"{NOTHING_BLOCKED} {plural(len(snapshot.clients), 'session')}"
    if idle:
        longest = max((one.state_age_s or 0.0 for one in idle), default=0.0)
        words += f", {len(idle):,} idle in transaction for up to {durations.in_words(longest)}"
    if snapshot.hidden_sessions:
        words += f", the state of {snapshot.hidden_sessions:,} hidden"
    return Toned(f"{words}.", "good")


def advice_lines(
    snapshot: LockSnapshot, keys: KeyName, run_pids: Collection[int] = (), *, acts: bool = True
) -> list[Line]:
    """What else a suite may hang by, and what to do: used up connections, or a standstill; often empty.

    `run_pids` are the sessions of runs, which aren't their suites'. `acts`: keys cancel and end sessions.
    """
    lines: list[Line] = []
    if snapshot.capacity is not None and snapshot.capacity.connections_nearly_used_up:
        lines.append((Toned(f"{in_sessions(keys, 'who has the connections')}.", "notice"),))
    if snapshot.capacity is not None:
        lines += [(Toned(one, "notice"),) for one in what_to_do(snapshot.capacity)]
    found = None if snapshot.blocked else standstill(snapshot, run_pids)
    if found is not None:
        lines.append((Toned(where_to_look(found, keys, acts=acts), "notice"),))
    return lines


def trouble_lines(troubles: Sequence[Trouble], keys: KeyName) -> list[Line]:
    """The last troubles with their local times, under a head that names the zone; empty without any.

    Those of the same tests over the same thing are one line, with the time of the last one.
    """
    if not troubles:
        return []
    zone = troubles[0].began.astimezone().strftime("%Z")
    head: list[Line] = [(), (Toned(f"Last troubles, {zone}", "quiet"),)]
    alike: dict[object, list[Trouble]] = {}
    for one in troubles:
        alike.setdefault((one.is_deadlock, one.names or one.who, one.target), []).append(one)
    shown = list(alike.values())[:_SHOWN]
    of_deadlocks = f"{keys('next-deadlock')} shows the statements of a deadlock, and how to avoid it."
    where: list[Line] = [(Toned(of_deadlocks, "notice"),)] if any(one[0].is_deadlock for one in shown) else []
    return head + where + [_line(one) for one in shown]


def _line(times: Sequence[Trouble]) -> Line:
    """A trouble, as often as it came: the last time is first."""
    trouble, number = times[0], len(times)
    moment = trouble.began.astimezone().strftime("%H:%M:%S")
    what = f"  {plain(trouble.target)}" if trouble.target else ""
    blocked, longest_s = max(one.blocked for one in times), max(one.longest_s for one in times)
    if trouble.is_deadlock:
        # Of a deadlock each member blocks the others.
        rest = blocked - 1
        who = " and ".join(trouble.names) or trouble.who
        words = f"deadlock of {plain(who)}{f' and {rest:,} more' if rest > 0 else ''}"
        words += f", {number:,} times, for up to " if number > 1 else ", for "
    else:
        words = f"{plain(trouble.who)} blocked {plural(blocked, 'session')}"
        words += f", {number:,} times, for up to " if number > 1 else " for "
    return (
        Toned(f"{moment}  ", "quiet"),
        Toned(words),
        Toned(durations.in_words(longest_s), of_wait(longest_s)),
        Toned(what, "quiet"),
    )
