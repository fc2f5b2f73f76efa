"""What a watch saw of contention, as text for people: tables, and a sparkline of blocked sessions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import TypeVar

from pgwatch_tests.locks.contention.contention import Contention, Pair
from pgwatch_tests.locks.contention.deadlocks import CaughtDeadlock
from pgwatch_tests.locks.contention.ranking import BlockedTime, Ranking
from pgwatch_tests.locks.contention.wait_record import LockedObject, RecordedWait, Side
from pgwatch_tests.locks.gate import AcceptanceUse
from pgwatch_tests.reports.locks.formats import lock_accepted
from pgwatch_tests.reports.render.sparkline import sparkline
from pgwatch_tests.reports.render.text_or_markdown import TableFormat, foreign, grid, heading
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_left, shortened_middle

_NAME_WIDTH = 45
_WIDTH = 100
_MOST_ROWS = 20
_MOST_DEADLOCKS = 5
_STATEMENT_WIDTH = 120

Cells = tuple[str, ...]
K = TypeVar("K", bound=Hashable)


def text(seen: Contention, form: TableFormat = "table", accepted: AcceptanceUse | None = None) -> str:
    """The whole report, times in UTC."""
    sections = [headline(seen, form), chart(seen, form), "\n".join(totals(seen, form))]
    if seen.waits:
        sections += [
            _section("By test", PAIR_HEADERS, pair_rows(seen), seen.pairs, form),
            _heading("The longest wait of each", form) + "\n".join(_pair_lines(seen, form)),
            _section("By object", OBJECT_HEADERS, object_rows(seen), seen.objects, form),
            _section("By cause", CAUSE_HEADERS, cause_rows(seen), seen.causes, form),
        ]
    if seen.deadlocks:
        sections.append(_heading("Deadlocks", form) + "\n".join(_deadlock_lines(seen, form)))
    if accepted is not None:
        sections += lock_accepted.lines(accepted, partial(foreign, form=form))
    return "\n\n".join(sections) + "\n"


def headline(seen: Contention, form: TableFormat = "table") -> str:
    """Where, and how long it was watched."""
    gap = f", not watched for {durations.in_words(seen.unwatched_s)}" if seen.unwatched_s else ""
    return (
        f"database {foreign(seen.database, form)} · PostgreSQL {plain(seen.server_version)} · "
        f"watched for {durations.in_words(seen.watched_s)}{gap}, {plural(seen.polls, 'poll')}"
    )


def chart(seen: Contention, form: TableFormat = "table") -> str:
    """The sparkline, with its time span and its highest value."""
    line = sparkline([moment.blocked for moment in seen.timeline], _WIDTH)
    span = f"{_clock(seen.since, UTC)} to {_clock(seen.until, UTC)} UTC"
    if form == "markdown":
        line = f"`{line}`"
    return f"Blocked sessions, {span}, peak {seen.most_blocked:,}\n{line}"


def totals(seen: Contention, form: TableFormat = "table") -> list[str]:
    """What it sums up to: blocked time, the longest wait, deadlocks. A line each."""
    if not seen.waits:
        lines = ["Nothing was blocked."]
    else:
        lines = [
            f"{durations.in_words(seen.blocked_s)} blocked in {plural(seen.waits, 'wait')}, "
            "summed over all sessions"
        ]
    if seen.longest is not None:
        behind = " and ".join(foreign(one, form) for one in seen.longest.blockers[:2])
        more = " and others" if len(seen.longest.blockers) > 2 else ""
        lines.append(
            f"longest wait {durations.in_words(seen.longest.wait_s)}: "
            f"{foreign(seen.longest.waiter, form)} for {foreign(seen.longest.object.object, form)}, "
            f"behind {behind}{more}"
        )
    return [*lines, deadlocks(seen, form)]


def deadlocks(seen: Contention, form: TableFormat = "table") -> str:
    """`deadlocks: 2 seen, 3 counted by the server so far (test_app 3)`; the server counts late."""
    counted = seen.deadlocks_counted
    if counted is None:
        words = "the server's own count not known (no two readings)"
    else:
        words = f"{counted.total:,} counted by the server so far"
        if counted.by_database:
            some = (f"{foreign(name, form)} {number:,}" for name, number in counted.by_database[:5])
            words += f" ({', '.join(some)})"
    return f"deadlocks: {seen.deadlocks_caught:,} seen, {words}"


PAIR_HEADERS = ("Blocked", "Share", "Waits", "Longest", "Blocking test", "Waiting test")
OBJECT_HEADERS = ("Blocked", "Share", "Waits", "Longest", "Object", "Lock mode")
CAUSE_HEADERS = ("Blocked", "Share", "Waits", "Longest", "Cause")


def pair_rows(seen: Contention) -> list[tuple[Pair, Cells]]:
    """Cells as in PAIR_HEADERS, plain text in full length."""
    return [(pair, (*_figures(blocked, seen), *pair_names(pair))) for pair, blocked in seen.pairs.rows]


def pair_names(pair: Pair) -> tuple[str, str]:
    """Blocker and waiter as plain text, each with its database if that isn't the tested one."""
    return (
        _in_database(pair.blocker, pair.blocker_database),
        _in_database(pair.waiter, pair.waiter_database),
    )


def _in_database(name: str, database: str) -> str:
    return plain(f"{name} in {database}" if database else name)


def object_rows(seen: Contention) -> list[tuple[LockedObject, Cells]]:
    """Cells as in OBJECT_HEADERS."""
    return [
        (
            locked,
            (*_figures(blocked, seen), _in_database(locked.object, locked.database), plain(locked.mode)),
        )
        for locked, blocked in seen.objects.rows
    ]


def cause_rows(seen: Contention) -> list[tuple[str, Cells]]:
    """Cells as in CAUSE_HEADERS."""
    return [
        (cause, (*_figures(blocked, seen), plain(cause.replace("_", " "))))
        for cause, blocked in seen.causes.rows
    ]


def _figures(blocked: BlockedTime, seen: Contention) -> Cells:
    share = f"{100 * blocked.blocked_s / seen.blocked_s:.0f} %" if seen.blocked_s else ""
    return durations.short(blocked.blocked_s), share, f"{blocked.waits:,}", durations.short(blocked.longest_s)


def _section(
    title: str, headers: Cells, rows: Sequence[tuple[K, Cells]], ranking: Ranking[K], form: TableFormat
) -> str:
    shown = [
        (*cells[:4], *(foreign(_shortened(cell), form) for cell in cells[4:]))
        for _, cells in rows[:_MOST_ROWS]
    ]
    alignment = "rrrr" + "l" * (len(headers) - 4)
    table = grid(headers, alignment, shown, form)
    if len(rows) > _MOST_ROWS or ranking.others is not None:
        rest_s = ranking.blocked_s - sum(blocked.blocked_s for _, blocked in ranking.rows[:_MOST_ROWS])
        table += f"\n\nand others: {durations.in_words(rest_s)}"
    return _heading(title, form) + table


def _shortened(name: str) -> str:
    return shortened_left(name, _NAME_WIDTH) if "::" in name else shortened_middle(name, _NAME_WIDTH)


def _heading(title: str, form: TableFormat) -> str:
    return heading(title, form, level=2) + ("\n" if form == "markdown" else "")


def _deadlock_lines(seen: Contention, form: TableFormat) -> list[str]:
    lines = [_deadlock_line(one, form) for one in seen.deadlocks[-_MOST_DEADLOCKS:]]
    earlier = seen.deadlocks_caught - len(lines)
    return [f"{earlier:,} before these", *lines] if earlier else lines


def _deadlock_line(one: CaughtDeadlock, form: TableFormat) -> str:
    steps = ", ".join(
        f"{foreign(member.who, form)} waits for "
        f"{foreign(_in_database(member.object.object, member.object.database), form)}"
        for member in one.sessions
    )
    victim = f"victim: {foreign(one.victim, form)}" if one.victim else "victim not known"
    bullet, indent = ("- ", "  - ") if form == "markdown" else ("", "  ")
    return "\n".join(
        (
            f"{bullet}{_clock(one.seen_at, UTC)} {steps}; {victim}",
            *(
                f"{indent}{foreign(member.who, form)}{_whose(replace(member.side, database=None), form)}: "
                f"{_statement(member.side, form)}, for {foreign(member.target, form)}"
                for member in one.sessions
            ),
            f"{indent}→ {foreign(one.advice, form)}",
        )
    )


def _pair_lines(seen: Contention, form: TableFormat) -> list[str]:
    bullet, indent = ("- ", "  - ") if form == "markdown" else ("", "  ")
    lines: list[str] = []
    for pair, _ in seen.pairs.rows[:_MOST_ROWS]:
        wait = seen.pair_waits.get(pair)
        if wait is not None:
            lines += [
                f"{bullet}{_pair_line(wait, form)}",
                f"{indent}waits{_whose(wait.waiter, form)}: {_statement(wait.waiter, form)}",
                f"{indent}blocks{_whose(wait.blocker, form)}: {_statement(wait.blocker, form)}",
                f"{indent}→ {foreign(wait.advice, form)}",
            ]
    return lines


def _pair_line(wait: RecordedWait, form: TableFormat) -> str:
    where = f" in {foreign(wait.object.database, form)}" if wait.object.database else ""
    return (
        f"{foreign(wait.waiter.who, form)} {durations.in_words(wait.wait_s)} for "
        f"{foreign(wait.target, form)}{where}, behind {foreign(wait.blocker.who, form)} "
        f"({foreign(wait.cause.replace('_', ' '), form)})"
    )


def _whose(side: Side, form: TableFormat) -> str:
    """` (database a, user b, from 10.0.0.7:51234)`, as far as it is known."""
    client = side.client if side.client in ("", "local") else f"from {side.client}"
    parts = (
        f"database {side.database}" if side.database else "",
        f"user {side.user}" if side.user else "",
        client,
    )
    words = ", ".join(filter(None, parts))
    return f" ({foreign(words, form)})" if words else ""


def _statement(side: Side, form: TableFormat) -> str:
    if not side.statement:
        return "statement not known"
    statement = " ".join(side.statement.split())
    return foreign(plain(statement, _STATEMENT_WIDTH), form)


def _clock(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
