"""Sections of a page on one server: deadlocks, waits and their sums, leaks, last sessions, tests. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgwatch_tests.record import sums
from pgwatch_tests.record.merging.merged import RecordedRun, ServerReport
from pgwatch_tests.record.model import DeadlockEvent, DeadlockMember, RecordedSide, WaitEvent
from pgwatch_tests.record.run_summary import BlockedSum, PairSum
from pgwatch_tests.reports.render.html_text import Child, Element, Lines, element
from pgwatch_tests.reports.runs import run_words
from pgwatch_tests.reports.runs.failed_tests import failed_tests
from pgwatch_tests.reports.runs.page import tables
from pgwatch_tests.reports.runs.page.tables import Cell, Column, Row, block, code, folded, name, text
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural

_SUMS = (Column("Blocked", "number", is_sorted=True), Column("Waits", "number"), Column("Longest", "number"))


def hangs(server: ServerReport) -> Iterator[Element]:
    """Each hang, with the lock tree as it was told in the job's log."""
    for hang in server.hangs:
        ended = (
            (" The session at its root was ended: ", code(hang.ended_root), ".") if hang.ended_root else ()
        )
        after = f", after {durations.in_words(hang.after_s)}" if hang.after_s else ""
        yield element(
            "div",
            element("p", f"Told at {run_words.utc(hang.at)}{after}.", *ended),
            element("pre", Lines(hang.text), tabindex=0),
            class_="card",
        )


def last_sessions(run: RecordedRun, most: int) -> Iterator[Element]:
    """Where a suite was that didn't come to its end: sessions of its last poll, and tests seen last."""
    if run.last is not None:
        columns = (Column("Session"), Column("Doing"), Column("Statement"))
        rows = [
            Row(
                (
                    text(code(one.side.who), *_on(one.side)),
                    text(run_words.doing(one, str)),
                    text(block(one.side.statement)) if one.side.statement else text(),
                )
            )
            for one in run.last.sessions[:most]
        ]
        caption = f"{run.label}: sessions at {run_words.utc(run.last.at)}"
        total = len(run.last.sessions) + run.last.more_sessions
        found = tables.table(caption, columns, rows, total, "session")
        yield found or element("p", f"{run.label}: no session was there at {run_words.utc(run.last.at)}.")
    seen = sorted(run.tests, key=lambda one: one.last_seen, reverse=True)
    if seen:
        named = [
            element("li", code(one.test), f" until {run_words.utc_clock(one.last_seen)}") for one in seen[:8]
        ]
        yield element("p", "Tests seen last:", class_="quiet")
        yield element("ul", *named)


def deadlocks(server: ServerReport, prefix: str, most: int) -> Iterator[Element]:
    """Each deadlock, with both sides' statements."""
    for number, one in enumerate(server.deadlocks[:most], 1):
        yield _deadlock(one, f"{prefix}d{number}")
    if len(server.deadlocks) > most:
        yield element(
            "p", f"and {len(server.deadlocks) - most:,} more; --format json has all", class_="quiet"
        )


def _deadlock(one: DeadlockEvent, place: str) -> Element:
    source = "seen by polls" if one.source == "polls" else f"by the {one.source}"
    victim: tuple[Child, ...] = ("victim not known",)
    if one.victim:
        victim = ("victim: ", code(one.victim))
    return element(
        "div",
        element("p", f"{run_words.utc(one.at)}, {source}; ", *victim),
        *(_member(member) for member in one.members),
        element("p", one.explanation) if one.explanation else None,
        element("p", one.advice, class_="advice") if one.advice else None,
        id=place,
        class_="card",
    )


def _member(member: DeadlockMember) -> Element:
    return element(
        "div",
        element("p", code(member.side.who), " waits for ", code(member.target or member.object or "?")),
        block(member.side.statement) if member.side.statement else element("p", "statement not known"),
        element("p", run_words.whose(member.side, str), class_="quiet"),
    )


def pairs(server: ServerReport, most: int) -> Element | None:
    """Blocked time by pair of tests, with the longest wait of each."""
    longest = sums.longest_by_pair(server.waits)
    ranked = sums.pairs(server.waits)
    columns = (*_SUMS, Column("Blocking test"), Column("Waiting test"), Column("Why, and what to do"))
    rows = [
        Row((*_sums(one.sum), name(one.blocker), name(one.waiter), _why(one, longest)))
        for one in ranked[:most]
    ]
    return tables.table("By pair of tests", columns, rows, len(ranked), "pair")


def _why(one: PairSum, longest: dict[tuple[str, str], tuple[WaitEvent, RecordedSide]]) -> Cell:
    example = longest.get((one.blocker, one.waiter))
    parts: list[Child] = [element("p", one.explanation), element("p", one.advice, class_="advice")]
    if example is not None:
        wait, blocker = example
        parts += _statements(wait.waiter, blocker)
    return text(folded(run_words.because(one.cause, str), *parts))


def _statements(waiter: RecordedSide, *blockers: RecordedSide) -> list[Child]:
    found: list[Child] = []
    for word, side in (("Waits", waiter), *(("Blocks", blocker) for blocker in blockers)):
        if side.statement:
            found += [
                element("p", f"{word}: ", code(side.who), *_on(side), class_="quiet"),
                block(side.statement),
            ]
    return found


def _on(side: RecordedSide) -> tuple[Child, ...]:
    return (" ", element("span", f"({run_words.whose(side, str)})", class_="quiet"))


def objects(server: ServerReport, most: int) -> Element | None:
    """Blocked time by what was waited for."""
    ranked = sums.objects(server.waits)
    rows = [Row((*_sums(one.sum), name(one.object), name(one.mode))) for one in ranked[:most]]
    return tables.table(
        "By object", (*_SUMS, Column("Object"), Column("Lock mode")), rows, len(ranked), "object"
    )


def causes(server: ServerReport, most: int) -> Element | None:
    """Blocked time by cause, with what helps."""
    ranked = sums.causes(server.waits)
    rows = [
        Row((*_sums(one.sum), text(run_words.because(one.cause, str)), text(one.advice)))
        for one in ranked[:most]
    ]
    return tables.table(
        "By cause", (*_SUMS, Column("Cause"), Column("What to do")), rows, len(ranked), "cause"
    )


def _sums(blocked: BlockedSum) -> tuple[Cell, Cell, Cell]:
    return tables.seconds(blocked.blocked_s), tables.number(blocked.waits), tables.seconds(blocked.longest_s)


def waits(server: ServerReport, worst: Sequence[WaitEvent], prefix: str) -> Element | None:
    """The longest waits, one by one."""
    columns = (
        Column("Waited", "number", is_sorted=True),
        Column("Began (UTC)"),
        Column("Waiting test"),
        Column("Behind"),
        Column("For"),
        Column("Why, and what to do"),
    )
    rows = [
        Row(
            (
                tables.seconds(wait.waited_s),
                Cell((run_words.utc_clock(wait.began),), wait.began.timestamp()),
                name(wait.waiter.who),
                text(*_behind(wait)),
                name(wait.target),
                text(folded(run_words.because(wait.cause, str), *_told(wait))),
            ),
            f"{prefix}w{wait.number}",
        )
        for wait in worst
    ]
    return tables.table("Longest waits", columns, rows, len(server.waits), "wait")


def _behind(wait: WaitEvent) -> Iterator[Child]:
    sides = [root.side.who for root in wait.roots] or [one.who for one in wait.blockers]
    distinct = list(dict.fromkeys(sides))
    yield from _listed(distinct[:3])
    if len(distinct) > 3:
        yield " and others"


def _listed(names: Sequence[str]) -> Iterator[Child]:
    for place, one in enumerate(names):
        if place:
            yield ", "
        yield code(one)


def _told(wait: WaitEvent) -> list[Child]:
    blockers = [root.side for root in wait.roots[:2]] or list(wait.blockers[:2])
    modes = f"{wait.mode}, behind {wait.held_mode}" if wait.held_mode else wait.mode
    return [
        element("p", wait.explanation),
        element("p", wait.advice, class_="advice"),
        element("p", "Lock: ", code(f"{wait.lock}, {modes}"), class_="quiet"),
        *_statements(wait.waiter, *blockers),
    ]


def failures(server: ServerReport, most: int) -> Element | None:
    """Failed and flaky tests, with how long each was blocked meanwhile."""
    failed = failed_tests(server)
    columns = (
        Column("Test"),
        Column("Outcome"),
        Column("Blocked", "number", is_sorted=True),
        Column("Behind"),
        Column("Message"),
    )
    rows = [
        Row(
            (
                name(one.outcome.test),
                text(one.words),
                tables.seconds(one.blocked_s or None),
                name(one.blocker),
                text(one.outcome.message) if one.outcome.message else text(),
            )
        )
        for one in failed[:most]
    ]
    return tables.table("Failed and flaky tests", columns, rows, len(failed), "test")


def leaks(server: ServerReport, most: int) -> Element | None:
    """What was left, by table and test, and how sure it is whose it is."""
    several = len({leak.database for leak in server.leaks}) > 1
    columns = (
        Column("Rows", "number", is_sorted=True),
        Column("Left"),
        Column("Test"),
        Column("Known by"),
        Column("Detail"),
    )
    rows = []
    for leak in server.leaks[:most]:
        where = f" in {leak.database}" if several and leak.database else ""
        tests: Cell = name(leak.test)
        if leak.candidates:
            more = f" and {len(leak.candidates) - 5:,} more" if len(leak.candidates) > 5 else None
            is_one = len(leak.candidates) == 1
            first, last = ("", ", or somebody else") if is_one else ("one of ", more)
            tests = text(first, *_listed(leak.candidates[:5]), last)
        elif not leak.test:
            tests = text("unknown")
        rows.append(
            Row(
                (
                    tables.number(leak.rows),
                    text(f"{run_words.leaked(leak)} ", code(f"{leak.name}{where}")),
                    tests,
                    text(run_words.known_by(leak)),
                    text(leak.detail) if leak.detail else text(),
                )
            )
        )
    return tables.table("What was left, by test", columns, rows, len(server.leaks), "finding")


def plugin_findings(server: ServerReport, most: int) -> Element | None:
    """What the pytest plugin found besides: rows without a marker, rows that were gone in the end …"""
    found = server.plugin_findings
    columns = (Column("Test"), Column("Finding"), Column("What to do"))
    rows = [
        Row((name(one.owner) if one.owner else text("unknown"), text(one.reason), text(one.advice)))
        for one in found[:most]
    ]
    return tables.table("Also found by the pytest plugin", columns, rows, len(found), "finding")


def tests(server: ServerReport, most: int) -> Element | None:
    """Tests that were seen, folded away: `seen`, since polls miss short ones."""
    if not server.tests:
        return None
    columns = (
        Column("Test"),
        Column("Worker"),
        Column("First seen (UTC)"),
        Column("Last seen (UTC)"),
        Column("Polls", "number"),
    )
    rows = [
        Row(
            (
                name(one.test),
                name(" ".join(filter(None, (one.runner, one.worker)))),
                Cell((run_words.utc_clock(one.first_seen),), one.first_seen.timestamp()),
                Cell((run_words.utc_clock(one.last_seen),), one.last_seen.timestamp()),
                tables.number(one.polls),
            )
        )
        for one in server.tests[:most]
    ]
    number = len({one.test for one in server.tests})
    return folded(
        f"{plural(number, 'test')} seen; one that ended between two polls isn't among them",
        tables.table("Tests seen", columns, rows, len(server.tests), "sighting"),
    )


def runs(every: Sequence[RecordedRun]) -> Element | None:
    """The runs, how each ended, and what it recorded."""
    columns = (
        Column("Run"),
        Column("Ended"),
        Column("Recorded", "number"),
        Column("Waits", "number"),
        Column("Leaks", "number"),
        Column("From"),
    )
    rows = [
        Row(
            (
                name(run.label),
                text(run_words.ending(run)),
                tables.seconds(run.watched_s),
                tables.number(len(run.waits)),
                tables.number(sum(leak.rows for leak in run.leaks))
                if run.leaks_checked
                else text("not checked"),
                name(run.name),
            )
        )
        for run in every
    ]
    return tables.table(plural(len(every), "run"), columns, rows)
