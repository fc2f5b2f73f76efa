"""Leaks in words, for every format: summaries, kinds of leftovers, who left rows, what wasn't looked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pgwatch_tests.accepted_findings import ANY_TEST, Finding
from pgwatch_tests.leaks.attribution.ladder import CHANGED, NO_KNOWN_TEST, NO_LOG
from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak
from pgwatch_tests.leaks.gate import ALL_KINDS
from pgwatch_tests.leaks.model import (
    LEFTOVER_NOUNS,
    AcceptedUse,
    Attribution,
    Ignored,
    LeakReport,
    LeaksOfDatabases,
    Leftover,
    LeftoverKind,
    NotChecked,
    TableLeak,
)
from pgwatch_tests.reports import giving_way
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural, share_of
from pgwatch_tests.text.times import utc_time

UNKNOWN_TEST = "unknown"

_MOST_UNREAD = 3
_MOST_NAMED = 10  # tables; the JSON document names all
UNREAD_HINT = "--ignore SCHEMA.TABLE.COLUMN leaves out what holds no test data"


def kind(name: LeftoverKind, number: int = 1) -> str:
    """`test schema`, or `test schemas` for another number than 1."""
    return LEFTOVER_NOUNS[name][number != 1]


def number_of(name: LeftoverKind, number: int) -> str:
    """`1 test schema`, `12,345 test schemas`."""
    return plural(number, *LEFTOVER_NOUNS[name])


def kinds_found(report: LeakReport) -> list[str]:
    """`["2 test schemas", "1 prepared transaction"]`: which leftovers there are."""
    numbers = {name: sum(one.kind == name for one in report.leftovers) for name in ALL_KINDS}
    return [number_of(name, number) for name, number in numbers.items() if number]


def by_database(
    leaks: LeakReport | LeaksOfDatabases,
) -> tuple[tuple[LeakReport, ...], tuple[NotChecked, ...]]:
    """The report of each database, and the databases that weren't checked at all."""
    return ((leaks,), ()) if isinstance(leaks, LeakReport) else (leaks.databases, leaks.not_checked)


def place(one: LeakReport | NotChecked) -> str:
    """`app_test`, or `ci-1/app_test` of a fleet's server; `ci-1` for all its databases."""
    return "/".join(filter(None, (one.server, one.database)))


def origin(report: LeakReport) -> tuple[str, ...]:
    """A line on how to learn which tests left the rows of which that isn't known; none if all are known."""
    verdicts = [one for table in report.tables for one in table.attribution]
    known = sum(one.rows for one in verdicts if one.confidence != "unknown")
    if known >= report.total:
        return ()
    unknown = plural(report.total - known, counted(report))
    if any(_is_of_log(one) for one in verdicts):
        how = "make values with unique_email or unique_id, or run once without -n"
        return (f"Which test left {unknown} isn't known, as told for each: {how} (docs/plugin.md)",)
    return (
        f"Which test left {unknown} isn't known: pytest --pgwatch=warn tells it (in autocommit: without -n); "
        "or put the test's hash into values, and pass --tests (docs/test-ids.md)",
    )


def _is_of_log(one: Attribution) -> bool:
    """Whether it isn't known though transactions were logged."""
    if one.confidence != "unknown" or one.detail.startswith("not examined"):
        return False
    return bool(one.detail) and one.detail != NO_LOG and not one.detail.endswith(NO_KNOWN_TEST)


def is_clean(report: LeakReport) -> bool:
    """Whether there is nothing to tell of a database but that it was checked."""
    return not report.total and not report.leftovers and report.complete


def summary(leaks: LeakReport | LeaksOfDatabases) -> str:
    """`7 leaked rows in 1 table; left over: 2 test schemas; 2 tables not checked`; of several databases
    `9 leaked rows, 2 leftovers in 3 of 8 databases; 1 database not checked at all`.
    """
    return _summary(leaks) if isinstance(leaks, LeakReport) else _summary_of_databases(leaks)


def _summary(report: LeakReport) -> str:
    if report.tables:
        line = f"{plural(report.total, counted(report))} in {plural(len(report.tables), 'table')}"
    else:
        line = f"no {counted(report)}s"
    if report.leftovers:
        line += f"; left over: {', '.join(kinds_found(report))}"
    tables = len({(skipped.schema, skipped.table) for skipped in report.skipped})
    if tables:
        line += f"; {plural(tables, 'table')} not checked"
    if report.accepted and report.accepted.known:
        line += f"; accepted: {_accepted_numbers(report.accepted)}"
    kinds = dict.fromkeys(one.kind for one in report.unchecked)
    if kinds:
        line += f"; not fully checked: {', '.join(kind(name, 2) for name in kinds)}"
    return line


def _summary_of_databases(leaks: LeaksOfDatabases) -> str:
    leftovers = sum(len(report.leftovers) for report in leaks.databases)
    line = plural(leaks.total, "leaked row") if leaks.total else "no leaked rows"
    if leftovers:
        line += f", {plural(leftovers, 'leftover')}"
    leaking = sum(bool(report.total or report.leftovers) for report in leaks.databases)
    line += f" in {share_of(leaking, len(leaks.databases), 'database')}"
    if leaks.servers or leaks.shard:
        reached = {report.server for report in leaks.databases}
        line += f" on {plural(len(reached), 'server')}"
        line += f" (part {leaks.shard} of the fleet)" if leaks.shard else ""
    incomplete = sum(not report.complete for report in leaks.databases)
    if incomplete:
        line += f"; {plural(incomplete, 'database')} not fully checked"
    unchecked = sum(bool(one.database) for one in leaks.not_checked)
    if unchecked:
        line += f"; {plural(unchecked, 'database')} not checked at all"
    if servers := len(leaks.not_checked) - unchecked:
        line += f"; {plural(servers, 'server')} not checked at all"
    return line


def looked_for(report: LeakReport) -> str:
    """Which leftovers were looked for, and which weren't."""
    if not report.kinds_checked:
        return f"Only rows were looked for; not looked for: {', '.join(kind(name, 2) for name in ALL_KINDS)}"
    line = f"Leftovers looked for: {', '.join(kind(name, 2) for name in report.kinds_checked)}"
    missing = [kind(name, 2) for name in ALL_KINDS if name not in report.kinds_checked]
    return f"{line}; not looked for: {', '.join(missing)}" if missing else line


def wanted(report: LeakReport, shown: Callable[[str], str]) -> str:
    """What makes a row a finding: the markers' names, or `any row`; foreign text through `shown`."""
    return "any row" if report.mode == "any" else ", ".join(map(shown, report.markers))


def counted(report: LeakReport) -> str:
    """What the rows that count are: `leaked row`, or `new or changed row`."""
    return "new or changed row" if report.mode == "any" else "leaked row"


def title(report: LeakReport, leak: TableLeak) -> str:
    """`7 leaked rows`, or `7 new or changed rows (2 changed)` if any row counts."""
    changed = f" ({leak.changed:,} changed)" if leak.changed else ""
    return f"{plural(leak.rows, counted(report))}{changed}"


def unseen(leaks: LeakReport | LeaksOfDatabases) -> list[str]:
    """What a count of marked rows can't see, once, where it found nothing in any database."""
    if leaks.total:
        return []
    reports, _ = by_database(leaks)
    return list(dict.fromkeys(line for one in reports for line in _unseen(one)))


def _unseen(report: LeakReport) -> list[str]:
    if report.mode == "any" or report.tables or (report.accepted and report.accepted.rows):
        return []
    if report.baseline is not None:
        return ["Rows without a marker aren't counted; --any counts these too"]
    return [
        "Rows without a marker aren't counted. To see these: `pgwatch-tests baseline -o FILE` before the "
        "suite, `leaks --since FILE --any` after it"
    ]


def compared(report: LeakReport, shown: Callable[[str], str]) -> list[str]:
    """What the rows were compared with, and what the settings leave out; foreign text through `shown`."""
    lines = []
    used = report.baseline
    if used is not None:
        taken = f"Compared with the baseline of {utc_time(used.taken_at)} UTC"
        if used.way == "statistics":
            lines.append(
                f"{taken}: {plural(used.tables_untouched, 'table')} untouched by the server's statistics"
            )
        else:
            lines.append(f"{taken}: every table looked at, since {shown(used.detail)}")
        if used.rows_before:
            where = " in the other tables" if used.tables_untouched else ""
            were = "was" if used.rows_before == 1 else "were"
            lines.append(f"{plural(used.rows_before, 'marked row')}{where} {were} there before")
        if used.dropped or used.gone:
            lines.append(f"Dropped since: {', '.join(map(shown, (*used.dropped, *used.gone)))}")
        lines += map(shown, used.notes)
    lines += giving_way.lines(report.away_s) + giving_way.hindrance(report.in_the_way_s)
    lines += [f"At work in it: {shown(run)}" for run in report.live_runs]
    if report.ignored:
        lines.append(f"Ignored: {'; '.join(shown(_ignored(one)) for one in report.ignored)}")
    return lines + accepted(report.accepted, shown)


def accepted(use: AcceptedUse | None, shown: Callable[[str], str]) -> list[str]:
    """Which findings aren't counted since they are accepted, and which entries nothing fits any more."""
    if use is None:
        return []
    lines = []
    if use.known:
        entries: dict[Finding, int] = {}
        for one in use.known:
            entries[one.entry] = entries.get(one.entry, 0) + one.number
        named = (f"{number:,} {_entry(entry, shown, number)}" for entry, number in entries.items())
        lines.append(f"Accepted, not counted: {'; '.join(named)}")
    if use.gone:
        named = (_entry(entry, shown) for entry in use.gone)
        lines.append(f"Accepted, but not found any more: {'; '.join(named)}; remove from the file")
    return lines


def _entry(entry: Finding, shown: Callable[[str], str], number: int = 2) -> str:
    """`rows of public.users (t.py::test_a)`, `schema test_*`."""
    what = entry.kind if entry.kind != "rows" else "row of" if number == 1 else "rows of"
    unknown = " (unknown test)" if entry.kind == "rows" else ""
    test = {ANY_TEST: "", "": unknown}.get(entry.test, f" ({shown(entry.test)})")
    return f"{what} {shown(entry.place)}{test}"


def _accepted_numbers(use: AcceptedUse) -> str:
    parts = [plural(use.rows, "row")] if use.rows else []
    return ", ".join([*parts, plural(use.leftovers, "leftover")] if use.leftovers else parts)


def unread(report: LeakReport, shown: Callable[[str], str]) -> str:
    """`: public.books.cover (bytea) and 3 more columns`, the end of a sentence; nothing if all was read."""
    if not report.unread:
        return ""
    names = [f"{one.schema}.{one.table}.{one.column} ({one.type})" for one in report.unread[:_MOST_UNREAD]]
    more = len(report.unread) - len(names)
    rest = f" and {plural(more, 'more column')}" if more else ""
    return f": {shown(', '.join(names))}{rest}"


def without_strings(report: LeakReport, shown: Callable[[str], str]) -> list[str]:
    """`No strings to search in 2 tables: public.counters, public.flags`; nothing if there are none."""
    names = report.without_strings
    if not names:
        return []
    more = len(names) - _MOST_NAMED
    rest = f" and {more:,} more" if more > 0 else ""
    where = ", ".join(names[:_MOST_NAMED])
    return [f"No strings to search in {plural(len(names), 'table')}: {shown(where)}{rest}"]


def _ignored(one: Ignored) -> str:
    where = f"in {plural(one.tables, 'table')}" if one.tables else "matches nothing that would be checked"
    return f"{one.what} ({where}{f': {one.reason}' if one.reason else ''})"


def test_name(one: TestLeak | Attribution) -> str:
    """The test, those that it may have been, or that it isn't known and why."""
    if one.candidates:
        return suspected(one.candidates)
    return one.test or (f"{UNKNOWN_TEST} ({one.detail})" if one.detail else UNKNOWN_TEST)


def suspected(tests: Sequence[str]) -> str:
    """`one of a, b`; where only one test may have been it, that is no fact either: `a, or somebody else`."""
    return f"one of {', '.join(tests)}" if len(tests) > 1 else f"{tests[0]}, or somebody else"


def known_by(one: TestLeak | Attribution) -> str:
    """How that is known: `marker`, `1 of 3`."""
    known = f"1 of {len(one.candidates):,}" if one.candidates else one.confidence
    return f"{known}; changed" if one.test and one.detail == CHANGED else known


def named(one: Leftover) -> str:
    """`test_1, 2 h 5 min old: 1 relation, owner ci`; what mends it comes after `→`."""
    age = "" if one.age_s is None else f", {durations.in_words(one.age_s)} old"
    hint = f" → {one.hint}" if one.hint else ""
    return f"{one.name}{age}{f': {one.detail}' if one.detail else ''}{hint}"


def rows(leak: TableLeak) -> str:
    """`7`, or `7 (2 changed)` where rows that were there before are among them."""
    changed = f" ({leak.changed:,} changed)" if leak.changed else ""
    return f"{leak.rows:,}{changed}"


def left_by(attribution: tuple[Attribution, ...]) -> str:
    """`t.py::test_a 3 (marker); unknown 2`: who left a table's rows, and how that is known."""
    return "; ".join(
        f"{test_name(one)} {one.rows:,}"
        if one.confidence == "unknown"
        else f"{test_name(one)} {one.rows:,} ({known_by(one)})"
        for one in attribution
    )
