"""Sentences on a sweep beside its tables: why rows stay, what else changed, who left them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from pgwatch_tests.reports.leaks.leak_words import known_by, test_name
from pgwatch_tests.reports.sweeps.sweep_words import explained, gone, table_name
from pgwatch_tests.sweep.model import (
    SEEN_BY_BASELINE,
    AlsoReferring,
    Cause,
    ChangedRows,
    SideEffects,
    SweepReport,
    TableRows,
    YoungestRow,
)
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.times import clock

Shown = Callable[[str], str]
"""Makes foreign text harmless in a form."""

_MOST_TABLES = 2


def listings(report: SweepReport, shown: Shown) -> list[tuple[str, list[str]]]:
    """Headings and sentences of what else changed, who left the rows, and why rows stay."""
    return [
        ("Besides", [sentence for sentence, _ in beside(report, shown)]),
        ("Who left them", [sentence for sentence, _ in left_by(report, shown)]),
        ("Kept", [why_rows_stay(cause, shown) for cause in report.causes]),
    ]


def notes(report: SweepReport, shown: Shown) -> list[str]:
    """What to mind before a sweep is confirmed, and after it: at most a sentence each."""
    remarks = (
        unmarked(report, shown),
        also_referring(report, shown),
        large_parts(report, shown),
        in_spite_of_age(report),
        only_too_young(report, shown),
    )
    return [sentence for sentence in remarks if sentence]


def unmarked(report: SweepReport, shown: Shown) -> str:
    """`of these 66 without a marker, in tables where others bear one: public.note (40), …`, or empty."""
    tables = sorted((one for one in gone(report) if one.unmarked), key=lambda one: -one.unmarked)
    if not tables:
        return ""
    named = [f"{shown(table_name(one.schema, one.table))} ({one.unmarked:,})" for one in tables]
    keep = "; --keep-unmarked keeps them" if report.dry_run else ""
    return (
        f"of these {sum(one.unmarked for one in tables):,} without a marker, in tables where others bear "
        f"one: {_some(named, 'table')}{keep}"
    )


def also_referring(report: SweepReport, shown: Shown) -> str:
    """`12 rows of public.comments go though they also refer to real rows of public.users`, or empty."""
    named = [also_refers(one, report.dry_run, shown) for one in report.also_refer]
    return _some(named, "such pair of tables") if named else ""


def also_refers(one: AlsoReferring, dry_run: bool, shown: Shown) -> str:
    """`12 rows of public.comments go though they also refer to real rows of public.users`, or what was so."""
    it, goes, refers = ("it", "goes", "refers") if one.rows == 1 else ("they", "go", "refer")
    verb, refers = (goes, refers) if dry_run else ("went", "referred")
    return (
        f"{'at least ' if one.at_least else ''}{plural(one.rows, 'row')} of "
        f"{shown(table_name(one.schema, one.table))} {verb} though {it} also {refers} to real rows "
        f"of {shown(table_name(one.parent_schema, one.parent_table))}{'' if dry_run else ', by the preview'}"
    )


def large_parts(report: SweepReport, shown: Shown) -> str:
    """`half of a table or more would go: 6 of 6 rows of public.users, …`; empty if that isn't so."""
    tables = sorted((one for one in gone(report) if is_large_part(one)), key=lambda one: -one.total)
    if not tables:
        return ""
    named = [
        f"{rows_of(one)} {'row' if one.of == 1 else 'rows'} of {shown(table_name(one.schema, one.table))}"
        for one in tables
    ]
    return f"half of a table or more {'would go' if report.dry_run else 'went'}: {_some(named, 'table')}"


def in_spite_of_age(report: SweepReport) -> str:
    """`12 of these are younger than 10 min: the lease of their run (5e6f7a8b) has ended`, or empty.

    Of several runs it isn't known which of them the rows are of.
    """
    number, runs = report.in_spite_of_age, report.ended_runs
    if not number:
        return ""
    its = "its run is one of" if number == 1 else "their runs are among"
    whose = (
        f"the lease of {'its' if number == 1 else 'their'} run ({runs[0]}) has ended"
        if len(runs) == 1
        else f"{its} {len(runs):,} whose leases have ended ({_some(runs, 'run')})"
    )
    return (
        f"{number:,} of these {'is' if number == 1 else 'are'} younger than "
        f"{durations.in_words(report.min_age_s)}: {whose}"
    )


def only_too_young(report: SweepReport, shown: Shown) -> str:
    """Until when what was found is too young, by which time, and what takes it now; empty if something else
    goes."""
    so_far = young_so_far(report, shown)
    young = sum(kept.rows for kept in report.kept if kept.reason == "too_young")
    them = "it" if young == 1 else "them"
    return f"{so_far[0]}; --min-age 0 removes {them} now, --run ID those of one run" if so_far else ""


def young_so_far(report: SweepReport, shown: Shown) -> list[str]:
    """Until when what was found is too young, and by which time: a sentence, or none if something else
    goes."""
    until, youngest = old_enough_at(report), report.youngest
    if until is None or youngest is None:
        return []
    young = sum(kept.rows for kept in report.kept if kept.reason == "too_young")
    one = young == 1
    together = (
        f". {youngest.held_back:,} of them {'is' if youngest.held_back == 1 else 'are'} older, but only go "
        "with younger rows that they hang together with"
        if youngest.held_back
        else ""
    )
    return [
        f"{plural(young, 'row')} {'stays' if one else 'stay'} only for being younger than "
        f"{durations.in_words(report.min_age_s)}, until {clock(until)}: {which_is_youngest(youngest, shown)}"
        f"{together}"
    ]


def which_is_youngest(youngest: YoungestRow, shown: Shown) -> str:
    """`the youngest, of public.users, was committed at 22:07:03 UTC`: which time counts."""
    at = clock(youngest.at)
    how = {
        "stamp": f"is stamped {at}",
        "created_at": f"has created_at {at}",
        "commit": f"was committed at {at}",
        "created_at_without_zone": f"has a created_at without time zone, so of {at} at the latest "
        "(track_commit_timestamp = on tells exactly)",
    }[youngest.known_by]
    return f"the youngest, of {shown(table_name(youngest.schema, youngest.table))}, {how}"


def old_enough_at(report: SweepReport) -> datetime | None:
    """By when what was found is old enough; None if something else goes, or nothing is too young."""
    if report.youngest is None or report.planned_rows or report.deleted_rows:
        return None
    return report.youngest.at + timedelta(seconds=report.min_age_s)


def is_large_part(table: TableRows) -> bool:
    """Whether at least half of its rows go. Where the estimate is lower than what goes, that is so too."""
    return 0 < table.of <= 2 * table.total


def rows_of(table: TableRows) -> str:
    """`6 of 6`; `6` if it isn't known of how many."""
    return f"{table.total:,} of {max(table.of, table.total):,}" if table.of else f"{table.total:,}"


def changed(one: ChangedRows, dry_run: bool, shown: Shown) -> str:
    """`12 rows of public.book lose author (SET NULL)`, in the past tense if it is done."""
    rows = f"{plural(one.rows, 'row')} of {shown(table_name(one.schema, one.table))}"
    return f"{rows} {becomes(one, dry_run, shown)}"


def becomes(one: ChangedRows, dry_run: bool, shown: Shown) -> str:
    """`lose author (SET NULL)`, in the past tense if it is done."""
    columns, single = ", ".join(map(shown, one.columns)), one.rows == 1
    match one.how:
        case "set_null":
            verb = ("loses" if single else "lose") if dry_run else "lost"
            return f"{verb} {columns} (SET NULL)"
        case "set_default":
            verb = ("gets" if single else "get") if dry_run else "got"
            return f"{verb} the default of {columns} (SET DEFAULT)"
        case "not_enforced":
            verb, table = "goes on" if single else "go on", shown(one.table)
            key = f"{table}.{columns}" if len(one.columns) == 1 else f"{table} ({columns})"
            return f"{verb} referring to rows that are gone: {key} isn't enforced"


def side_effects(one: SideEffects, shown: Shown) -> str:
    """`triggers also inserted 40 rows into public.audit, and deleted 2`."""
    table = shown(table_name(one.schema, one.table))
    parts = [
        (one.inserted, "inserted", "into"),
        (one.updated, "updated", "of"),
        (one.deleted, "deleted", "of"),
    ]
    done = [f"{verb} {plural(rows, 'row')} {where} {table}" for rows, verb, where in parts if rows]
    if one.emptied:
        done.insert(0, f"emptied {table} (TRUNCATE, or DROP TABLE)")
    return f"triggers also {', '.join(done)}"


def beside(report: SweepReport, shown: Shown) -> list[tuple[str, int]]:
    """What is changed, then what triggers did besides: sentences and numbers of rows, most rows first."""
    by_rows = [(changed(one, report.dry_run, shown), one.rows) for one in report.changed]
    effects = [
        (side_effects(one, shown), one.inserted + one.updated + one.deleted) for one in report.side_effects
    ]
    return [*sorted(by_rows, key=lambda one: -one[1]), *sorted(effects, key=lambda one: -one[1])]


def beside_in_all(report: SweepReport) -> str:
    """`Besides, 12 rows are changed in 2 tables, and triggers wrote 40 rows in 1 table`."""
    parts = []
    if report.changed:
        rows = plural(sum(one.rows for one in report.changed), "row")
        tables = len({(one.schema, one.table) for one in report.changed})
        how = "would be left with changed references" if report.dry_run else "have changed references"
        parts.append(f"{rows} of {plural(tables, 'table')} {how}")
    if report.side_effects:
        wrote = sum(one.inserted + one.updated + one.deleted for one in report.side_effects)
        emptied = sum(one.emptied for one in report.side_effects)
        parts.append(
            f"triggers wrote {plural(wrote, 'row')} of {plural(len(report.side_effects), 'table')}"
            f"{f' and emptied {emptied:,} of these' if emptied else ''}"
        )
    return f"Besides, {', and '.join(parts)}"


def left_by(report: SweepReport, shown: Shown) -> list[tuple[str, int]]:
    """`tests/a.py::test_b left 40 rows of 3 tables (transaction)`, those who are known first; their rows."""
    return [
        (
            f"{shown(test_name(one))} left {plural(one.rows, 'row')} of {plural(len(one.tables), 'table')}"
            f"{'' if one.confidence == 'unknown' else f' ({known_by(one)})'}",
            one.rows,
        )
        for one in report.left_by
    ]


def _some(named: Sequence[str], noun: str) -> str:
    more = len(named) - _MOST_TABLES
    return ", ".join([*named[:_MOST_TABLES], *([f"{plural(more, f'more {noun}')}"] if more > 0 else [])])


def why_rows_stay(cause: Cause, shown: Callable[[str], str]) -> str:
    """`317 rows stay because public.x (id=7) bears no marker and … (300 rows of a, 17 of b)`.

    Foreign text goes through `shown`.
    """
    stay = f"{plural(cause.rows, 'row')} {'stays' if cause.rows == 1 else 'stay'}"
    words, detail = explained(cause.reason).words, shown(cause.detail)
    if not detail:
        why = f": {words}"
    elif cause.detail == SEEN_BY_BASELINE:
        why = f": {detail}"
    elif cause.reason == "shared_with_real_data":
        why = f" because {detail}"
    else:
        why = f", {words}: {detail}"
    where = _tables_of(cause, shown)
    return f"{stay}{why} ({where})" if where else f"{stay}{why}"


def _tables_of(cause: Cause, shown: Callable[[str], str]) -> str:
    """`300 rows of public.users, 17 in 2 other tables`; of one just its name; empty if none is known."""
    rows: Counter[str] = Counter()
    for kept in cause.kept:
        rows[table_name(kept.schema, kept.table)] += kept.rows
    del rows[""]
    if len(rows) == 1:
        return shown(next(iter(rows)))
    named = rows.most_common(2 if len(rows) == 2 else 1)
    parts = [
        f"{f'{number:,}' if place else plural(number, 'row')} of {shown(name)}"
        for place, (name, number) in enumerate(named)
    ]
    if more := len(rows) - len(named):
        left = rows.total() - sum(number for _, number in named)
        parts.append(f"{left:,} in {plural(more, 'other table')}")
    return ", ".join(parts)


def more_causes(report: SweepReport, shown: int) -> str:
    """`and 34 more causes, 5,432 rows`: those behind the first `shown`."""
    rest = report.causes[shown:]
    rows = sum(cause.rows for cause in rest)
    return f"and {plural(len(rest), 'more cause')}, {plural(rows, 'row')}"
