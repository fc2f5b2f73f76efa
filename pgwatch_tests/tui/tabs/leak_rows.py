"""Rows of the Leaks tab: each with its detail, what `y` copies, and the sweep of just it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak, by_test, is_certain
from pgwatch_tests.leaks.gate import DEFAULT_FAIL_ON
from pgwatch_tests.leaks.model import (
    TRACES,
    Attribution,
    LeakReport,
    Leftover,
    LeftoverKind,
    LeftSession,
    Skipped,
    TableLeak,
    Unchecked,
)
from pgwatch_tests.reports.leaks import leak_detail, leak_remedies, leak_words
from pgwatch_tests.reports.leaks.leak_remedies import Copyable
from pgwatch_tests.reports.locks.test_labels import label_of_test
from pgwatch_tests.reports.render.detail_text import Detail, KeyName
from pgwatch_tests.sweep.request import SweepPart
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_middle
from pgwatch_tests.text.toned_text import Cell, Tone, Toned
from pgwatch_tests.tui.widgets.tables.column_widths import Column
from pgwatch_tests.tui.widgets.tables.table_rows import LiveRow

LeakGrouping = Literal["table", "test"]

COLUMNS: dict[LeakGrouping, tuple[Column, ...]] = {
    "table": (
        Column("Object", least=12, enough=26, cut=shortened_middle),
        Column("Rows", right=True),
        Column("Since last", right=True, rank=1),
        Column("Age", right=True),
        Column("Test, or what it is", least=16, enough=26, most=52, cut=shortened_middle),
        Column("Example", least=12, enough=24, rank=2),
    ),
    "test": (
        Column("Test", least=20, enough=40, cut=shortened_middle),
        Column("Rows", right=True),
        Column("Known by"),
        Column("Tables, or what is left", least=10, enough=30, short="What is left"),
    ),
}
_NUMBERED: Mapping[LeftoverKind, str] = {
    "idle_in_transaction": "{} idle in tx",
    "advisory_lock": "advisory lock {}",
}
"""What leftovers are called whose own name is a number."""
_NONE = Toned("–", "quiet")
_UNKNOWN = Toned("?", "notice")
_NOT_CHECKED = "It wasn't checked: nothing is known to sweep."


@dataclass(frozen=True, slots=True)
class LeakRow:
    """A row of the table, its detail, and what keys do with it."""

    row: LiveRow
    detail: Detail
    copies: tuple[Copyable, ...] = ()
    part: SweepPart | None = None
    """What `w` plans to sweep; None if no sweep removes it."""
    asks: bool = False
    """Whether `K`, and `w`, ask whether it goes, instead: somebody has to see what it is."""
    why_not_swept: str = ""
    table: str = ""
    """The table whose rows `enter` reads, `schema.table`; empty for anything else."""
    session: LeftSession | None = None
    """The session that was left; None of anything else."""
    has_rows: bool = False
    """Whether it counts leaked rows, by which they are sorted."""
    below: str = ""
    """The key of the row that it stands under, in whatever order; empty if it has a place of its own."""


@dataclass(frozen=True, slots=True)
class LeakKeys:
    """What the dashboard can do about leaks, and with which keys: to be said in details."""

    name: KeyName
    sweeps: bool = False
    reads_rows: bool = False
    acts: bool = False
    """Whether keys end sessions."""
    removes: bool = False
    """Whether a key removes what no sweep does, after a question."""
    min_age_s: float | None = None
    """The minimum age of what sweeps take, in seconds; None without sweeps."""
    refusal: str = ""
    """Why no sweep may change the database; empty if one may."""
    is_past: bool = False
    """Whether a moment of the past is looked at: the keys do nothing then."""

    @property
    def sweeps_this(self) -> str:
        """`w plans a sweep of just this`"""
        return f"{self.name('sweep-this')} plans a sweep of just this"

    @property
    def in_past(self) -> LeakKeys:
        """The same for a moment of the past, from which nothing is swept or ended."""
        return replace(self, sweeps=False, acts=False, min_age_s=None, is_past=True)

    def refused(self, why: str) -> LeakKeys:
        """The same where no sweep may change the database, as `why` says; empty: one may."""
        return replace(self, sweeps=False, removes=False, min_age_s=None, refusal=why) if why else self

    @property
    def asks_about_this(self) -> str:
        """`K removes it, after a question`"""
        return f"{self.name('remove-this')} removes it, after a question"

    @property
    def ends_it(self) -> str:
        """`K ends it, after a question`"""
        return f"{self.name('terminate')} ends it, after a question"

    @property
    def ends_its_session(self) -> str:
        """`K ends its session, after a question`"""
        return f"{self.name('terminate')} ends its session, after a question"


def leak_rows(report: LeakReport, keys: LeakKeys, before: LeakReport | None = None) -> list[LeakRow]:
    """A row per leaked table (most rows first), leftover, and thing not checked.

    `before` is the count before.
    """
    past = _Before.of(before)
    leaked = sorted(report.tables, key=lambda one: (-one.rows, one.schema, one.table))
    return _numbered(
        [
            *(_table_row(table, report.checked_at, past, keys) for table in leaked),
            *(_leftover_row(one, past, keys) for one in _worst_first(report.leftovers)),
            *_not_checked_rows(report, keys.name, "table"),
        ]
    )


def knows_tests(report: LeakReport) -> bool:
    """Whether anything can be grouped by test: rows that somebody asked about, or a session with a test."""
    return bool(by_test(report.tables)) or any(one.test for one in report.leftovers)


def test_rows(report: LeakReport, keys: LeakKeys, before: LeakReport | None) -> list[LeakRow]:
    """A row per test, in their order; leftovers under their test, then those of tests without rows."""
    past = _Before.of(before)
    tests = by_test(report.tables)
    rows = [_test_row(one, keys.name) for one in tests]
    of_test = {one.test: row.row.key for one, row in reversed(list(zip(tests, rows, strict=True)))}
    lefts = sorted(_worst_first(report.leftovers), key=lambda one: not one.test)
    for one in lefts:
        left = _leftover_row(one, past, keys)
        below = of_test.get(one.test, "") if one.test else ""
        rows.append(replace(left, row=replace(left.row, cells=_cells_by_test(one, below)), below=below))
    rows += _not_checked_rows(report, keys.name, "test")
    return _numbered(rows)


def _cells_by_test(one: Leftover, below: str) -> tuple[Cell, ...]:
    """The cells of a leftover where rows are grouped by test."""
    tone = _left_tone(one)
    left = Attribution(one.test, "marker" if one.test else "unknown", 0)
    what = _called(one) if one.kind in _NUMBERED else f"{leak_words.kind(one.kind)} {_called(one)}"
    return (
        (Toned("└ ", "quiet"), *leak_detail.named(left)) if below else leak_detail.named(left),
        (_NONE,),
        "session" if one.test else (_NONE,),
        (Toned(what, tone),),
    )


def _worst_first(leftovers: Iterable[Leftover]) -> list[Leftover]:
    return sorted(leftovers, key=lambda one: _left_tone(one) != "trouble")


def _not_checked_rows(report: LeakReport, keys: KeyName, by: LeakGrouping) -> list[LeakRow]:
    return [
        *(_skipped_row(one, keys, by) for one in report.skipped),
        *(_unchecked_row(one, keys, by) for one in report.unchecked),
    ]


def _numbered(rows: Iterable[LeakRow]) -> list[LeakRow]:
    """The rows, each with a key of its own."""
    # Two leftovers may have the same name, such as a lock that several sessions share.
    seen: dict[str, int] = {}
    numbered = []
    for one in rows:
        row = one.row
        number = seen[row.key] = seen.get(row.key, 0) + 1
        numbered.append(replace(one, row=row if number == 1 else replace(row, key=f"{row.key} {number}")))
    return numbered


@dataclass(frozen=True, slots=True)
class _Before:
    """What the count before had."""

    rows: Mapping[tuple[str, str], int]
    skipped: frozenset[tuple[str, str]]
    leftovers: frozenset[tuple[str, str]]
    kinds: frozenset[str]

    @staticmethod
    def of(report: LeakReport | None) -> _Before | None:
        """The same, to be looked up."""
        if report is None:
            return None
        return _Before(
            {(one.schema, one.table): one.rows for one in report.tables},
            frozenset((one.schema, one.table) for one in report.skipped),
            frozenset((one.kind, one.name) for one in report.leftovers),
            frozenset(report.kinds_checked) - {one.kind for one in report.unchecked},
        )

    def change(self, table: TableLeak) -> int | None:
        """How many rows there are more than before; None if that wasn't told."""
        name = table.schema, table.table
        return None if name in self.skipped else table.rows - self.rows.get(name, 0)

    def is_new(self, one: Leftover) -> bool:
        """Whether a leftover wasn't there, though it was looked for."""
        return one.kind in self.kinds and (one.kind, one.name) not in self.leftovers


def _table_row(table: TableLeak, now: datetime, before: _Before | None, keys: LeakKeys) -> LeakRow:
    name = f"{table.schema}.{table.table}"
    age_s = None if table.oldest is None else max(0.0, (now - table.oldest).total_seconds())
    change = None if before is None else before.change(table)
    row = LiveRow(
        f"leak {name}",
        (
            (Toned(plain(name), "trouble"),),
            (Toned(f"{table.rows:,}", "trouble"),),
            _changed(change),
            durations.short(age_s) or (_UNKNOWN,),
            _left_by(table.attribution),
            plain(", ".join(table.samples)),
        ),
    )
    part = None if keys.refusal else leak_remedies.part_of_table(table)
    does = [f"{keys.name('detail')} shows the rows"] if keys.reads_rows else []
    does += [keys.sweeps_this] if keys.sweeps and part is not None else []
    return LeakRow(
        row,
        leak_detail.table_detail(
            *(table, change, now, keys.name),
            does=does,
            min_age_s=keys.min_age_s if part else None,
            why_not_swept=keys.refusal,
        ),
        () if keys.refusal else leak_remedies.table_copies(table),
        part,
        why_not_swept="" if part else keys.refusal or leak_remedies.why_not_swept(table),
        table=name,
        has_rows=True,
    )


def _leftover_row(one: Leftover, before: _Before | None, keys: LeakKeys) -> LeakRow:
    tone = _left_tone(one)
    is_new = before is not None and before.is_new(one)
    row = LiveRow(
        f"left {one.kind} {one.name}",
        (
            (Toned(_called(one), tone),),
            (_NONE,),
            (Toned("new", "trouble"),) if is_new else (_NONE,),
            durations.short(one.age_s) or (_UNKNOWN,),
            _test_of(one),
            (Toned(_detail_besides_test(one), "quiet"),),
        ),
    )
    part = leak_remedies.part_of_leftover(one)
    # What a sweep, or the key for it, removes elsewhere.
    refusal = keys.refusal if part or leak_remedies.part_to_ask_about(one) else ""
    part = None if refusal else part
    to_ask = leak_remedies.part_to_ask_about(one) if keys.removes else None
    does = [keys.asks_about_this] if to_ask else [keys.sweeps_this] if keys.sweeps and part else []
    does = [] if keys.is_past else does
    if keys.acts and one.session is not None:
        does.append(keys.ends_its_session if one.kind == "advisory_lock" else keys.ends_it)
    return LeakRow(
        row,
        leak_detail.leftover_detail(one, tone, keys.name, does=does, why_not_swept=refusal),
        leak_remedies.leftover_copies(one),
        to_ask or part,
        to_ask is not None,
        "" if to_ask or part else refusal or leak_remedies.why_not_swept(one),
        session=one.session,
    )


def _called(one: Leftover) -> str:
    """Its name; a number alone, such as that of a lock, says what it is the number of."""
    return plain(_NUMBERED[one.kind].format(one.name) if one.kind in _NUMBERED else one.name)


def _test_of(one: Leftover) -> Cell:
    """Its test, and what kind of thing it is where its name doesn't say that."""
    kind = "" if one.kind in _NUMBERED else leak_words.kind(one.kind)
    if not one.test:
        return kind or (_NONE,)
    name = label_of_test(one.test).name
    return (Toned(name), Toned(f", {kind}", "quiet")) if kind else name


def _detail_besides_test(one: Leftover) -> str:
    """Its detail without the test that it begins with, which has a column of its own."""
    beginning = f"test {one.test} ("
    if one.test and one.detail.startswith(beginning):
        return plain(one.detail.removeprefix(beginning).partition("), ")[2])
    return plain(one.detail)


def _skipped_row(one: Skipped, keys: KeyName, by: LeakGrouping) -> LeakRow:
    name = "some tables" if one.table == "*" else plain(f"{one.schema}.{one.table}".removeprefix("."))
    key = f"skipped {one.schema}.{one.table} {one.reason}"
    return _not_checked(key, name, one.reason, one.hint, keys, by)


def _unchecked_row(one: Unchecked, keys: KeyName, by: LeakGrouping) -> LeakRow:
    kinds = leak_words.kind(one.kind, 2)
    return _not_checked(f"unchecked {one.kind} {one.reason}", kinds, one.reason, one.hint, keys, by)


def _not_checked(key: str, name: str, reason: str, hint: str, keys: KeyName, by: LeakGrouping) -> LeakRow:
    what, words, why = Toned(name, "notice"), Toned("not checked", "notice"), plain(reason)
    by_table: tuple[Cell, ...] = (
        *((what,), (_UNKNOWN,), (_NONE,), (_NONE,)),
        (words, Toned(f": {why}", "notice")),
        (Toned(plain(hint), "quiet"),),
    )
    by_test: tuple[Cell, ...] = ((what,), (_UNKNOWN,), (words,), (Toned(why, "notice"),))
    row = LiveRow(key, by_table if by == "table" else by_test)
    detail = leak_detail.unchecked_detail(name, reason, hint, keys)
    return LeakRow(row, detail, leak_remedies.hint_copies(hint), why_not_swept=_NOT_CHECKED)


def _test_row(one: TestLeak, keys: KeyName) -> LeakRow:
    tone: Tone = "trouble" if is_certain(one) else "notice"
    row = LiveRow(
        f"test {one.confidence} {one.test} {one.candidates} {one.detail}",
        (
            (*leak_detail.named(one, tone), *_why_unknown(one)),
            (Toned(f"{one.rows:,}", tone),),
            leak_words.known_by(one),
            plain(", ".join(f"{name} {rows:,}" for name, rows in one.tables)),
        ),
    )
    why = f"Sweeps of one table are planned from the list by table: {keys('sort')} groups by table."
    return LeakRow(row, leak_detail.test_detail(one), why_not_swept=why, has_rows=True)


def _left_by(attribution: Sequence[Attribution]) -> Cell:
    """`test_parent_signs_up (marker) +1`: the best known test, how it is known, and how many others."""
    if not attribution:
        return (_NONE,)
    first, *others = attribution
    if first.candidates:
        more = f", {plural(len(others), 'other')}" if others else ""
        number = leak_words.known_by(first) if len(first.candidates) > 1 else "perhaps"
        known = Toned(f"{number}{more}: ", "notice")
        return (known, leak_detail.names_of(first.candidates))
    more = f" +{len(others):,}" if others else ""
    if not first.test:
        return (Toned(leak_words.UNKNOWN_TEST + more, "notice"), *_why_unknown(first))
    name = label_of_test(first.test).name
    return (Toned(name), Toned(f" ({leak_words.known_by(first)})", "quiet"), Toned(more, "notice"))


def _why_unknown(one: TestLeak | Attribution) -> Sequence[Toned]:
    """Why it isn't known which test left rows: two that aren't known are told apart by it."""
    if one.test or one.candidates or not one.detail:
        return ()
    return (Toned(f"  {plain(one.detail).removeprefix('there is ')}", "quiet"),)


def _changed(change: int | None) -> Cell:
    if not change:
        return (_NONE,)
    return (Toned(f"{change:+,}", "trouble" if change > 0 else "good"),)


def _left_tone(one: Leftover) -> Tone:
    """Trouble if a gate fails on it by default."""
    if one.kind in TRACES:
        return "notice"
    return "trouble" if one.kind in DEFAULT_FAIL_ON else "warning"
