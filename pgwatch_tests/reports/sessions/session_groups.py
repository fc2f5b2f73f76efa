"""Sessions in groups: by database, user, state or test, each with what is telling about it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.reports.locks.wait_tones import of_idle_transaction, of_wait
from pgwatch_tests.reports.render.detail_text import NOW, Detail, KeyName, Labelled, labelled
from pgwatch_tests.reports.sessions.session_rows import SessionRow, is_idle_in_transaction, is_resting
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.toned_text import Toned

Grouping = Literal["database", "user", "state", "test"]

_NONE = "none"
_NAMES: Mapping[Grouping, Callable[[SessionRow], tuple[str, str]]] = {
    "database": lambda row: (row.database, ""),
    "user": lambda row: (row.user, ""),
    "state": lambda row: (row.state, ""),
    "test": lambda row: (row.test, row.place),
}
GROUPINGS: tuple[Grouping, ...] = tuple(_NAMES)
"""In the order in which a key switches."""


@dataclass(frozen=True, slots=True)
class SessionGroup:
    """Sessions that have something in common; there is at least one. All text is plain."""

    key: str
    """Stays the same from poll to poll."""
    name: str
    place: str
    """Where the group's test is; empty in other groups."""
    rows: tuple[SessionRow, ...]

    @property
    def idle_in_transaction(self) -> tuple[SessionRow, ...]:
        """Those that hold a transaction open and run nothing."""
        return tuple(row for row in self.rows if is_idle_in_transaction(row))

    @property
    def blocked(self) -> tuple[SessionRow, ...]:
        """Those that wait for a lock."""
        return tuple(row for row in self.rows if row.wait_s is not None)

    @property
    def longest(self) -> SessionRow | None:
        """The one that has been in its state for longest, of those that aren't just idle."""
        busy = [row for row in self.rows if not is_resting(row) and row.since_s is not None]
        return max(busy, key=lambda row: row.since_s or 0.0, default=None)


def grouped(rows: Iterable[SessionRow], by: Grouping) -> list[SessionGroup]:
    """The groups of rows, in the order of their first rows: as the rows are sorted, the groups are."""
    found: dict[tuple[str, str], list[SessionRow]] = {}
    for row in rows:
        found.setdefault(_NAMES[by](row), []).append(row)
    return [
        SessionGroup(f"{by} {place}::{name}", name or _NONE, place, tuple(members))
        for (name, place), members in found.items()
    ]


def group_detail(group: SessionGroup, by: Grouping, keys: KeyName) -> Detail:
    """The detail of a group: how many are in which state, and who has been at it for longest."""
    states = Counter(row.state or "?" for row in group.rows)
    texts = [labelled("State", ", ".join(f"{number:,} {state}" for state, number in states.most_common()))]
    if idle := group.idle_in_transaction:
        longest_s = max(row.since_s or 0.0 for row in idle)
        words = f"{len(idle):,} idle in transaction, for up to {durations.in_words(longest_s)}"
        texts.append(labelled("Open", words, of_idle_transaction(longest_s)))
    if blocked := group.blocked:
        longest_s = max(row.wait_s or 0.0 for row in blocked)
        words = f"{len(blocked):,} blocked, for up to {durations.in_words(longest_s)}"
        texts.append(labelled("Wait", words, of_wait(longest_s)))
    if longest := group.longest:
        who = f"{longest.test}, pid {longest.session.pid}"
        words = f"{who}: {longest.state} for {durations.in_words(longest.since_s)}"
        texts.append(labelled("Long", words))
    texts.append(_keys(keys))
    title = Toned(group.name, "lit"), Toned(f"  {by}, {plural(len(group.rows), 'session')}", "quiet")
    return Detail((*title, Toned(f"  {group.place}" if group.place else "", "quiet")), tuple(texts))


def _keys(keys: KeyName) -> Labelled:
    words = f"{keys('fold')} folds it · {keys('open')} opens it · {keys('group')} groups by something else"
    return labelled(NOW, words, "notice", vital=True)


def order_words(order: str, by: Grouping | None, keys: KeyName, *, turned: bool = False) -> str:
    """`in trouble first, grouped by user (g)`; `by test, turned around`."""
    if order == "longest in state":
        sorted_by = "in trouble last" if turned else "in trouble first"
    else:
        sorted_by = f"by {order}{', turned around' if turned else ''}"
    return f"{sorted_by}, grouped by {by} ({keys('group')})" if by else sorted_by


def next_grouping(by: Grouping | None) -> Grouping | None:
    """The grouping that follows; None, after the last one, for none."""
    following: Sequence[Grouping | None] = (*GROUPINGS, None)
    return following[0 if by is None else following.index(by) + 1]
