"""Sweeps in words, for every format: summaries, phases, why something stays, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from pgwatch_tests.reports import giving_way
from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.sweep.model import (
    MAY_BE_CHANGED,
    SEEN_BY_BASELINE,
    Kept,
    KeptReason,
    NotSwept,
    Orphan,
    SweepPhase,
    SweepProgress,
    SweepReport,
    SweepsOfDatabases,
    TableRows,
)
from pgwatch_tests.sweep.request import SweepPart
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural, share_of
from pgwatch_tests.text.times import clock

# One, several.
_KINDS: dict[SweepKind, tuple[str, str]] = {
    "rows": ("row", "rows"),
    "schemas": ("schema", "schemas"),
    "databases": ("database", "databases"),
    "sessions": ("session", "sessions"),
    "prepared": ("prepared transaction", "prepared transactions"),
}
# In which they are named.
_ORPHANS: tuple[SweepKind, ...] = ("schemas", "databases", "sessions", "prepared")
# What is done to one of them.
_ENDINGS: dict[SweepKind, tuple[str, str]] = {
    "rows": ("would be deleted", "deleted"),
    "schemas": ("would be dropped", "dropped"),
    "databases": ("would be dropped", "dropped"),
    "sessions": ("would be ended", "ended"),
    "prepared": ("would be rolled back", "rolled back"),
}

_PHASES: dict[SweepPhase, str] = {
    "survey": "reading marked rows",
    "plan": "planning",
    "delete": "deleting",
    "second_look": "looking again",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why something stays, in a few words, and what can be done about it."""

    words: str
    hint: str


EXPLANATIONS: dict[KeptReason, Explanation] = {
    "too_young": Explanation("too young", "a later sweep removes it; --min-age sets another age"),
    "age_unknown": Explanation(
        "of unknown age",
        "put a time stamp into its marker, or a created_at into its table, or set track_commit_timestamp = "
        "on; --min-age 0s removes it whatever its age",
    ),
    "unleased_name": Explanation(
        "not named by a lease",
        "once its run is over, drop it yourself (a schema: w in the dashboard's Leaks shows what is in it, "
        "and asks; DROP DATABASE); a sweep removes only what pgwatch_tests.testing named, since only of that "
        "it can tell whether the owner lives",
    ),
    "in_future": Explanation(
        "stamped in the future",
        "compare the clocks (`pgwatch-tests doctor`); it stays until that time has passed",
    ),
    "run_alive": Explanation("of a run still alive", "a later sweep removes it, once that run has ended"),
    "kept_for_test": Explanation(
        "kept for a failed test",
        "a later sweep removes it, once that time has passed; or drop it yourself",
    ),
    "locked": Explanation(
        "locked", "a later sweep removes it, once the transaction that works on it has ended"
    ),
    "changed": Explanation("changed meanwhile", "a later sweep removes it"),
    "shared_with_real_data": Explanation(
        "shared with real data",
        "rows without a marker depend on it: let them refer to something else, or give them markers",
    ),
    "refused": Explanation(
        "refused by the server", "change the rule, trigger or privilege, or refresh the view, that is named"
    ),
    "no_index": Explanation(
        "without an index",
        "create the index that is named, or let --temp-index do it; --patience waits longer",
    ),
    "not_checked": Explanation(
        "not checked",
        "see what is named; where a privilege is missing, `pgwatch-tests doctor` prints the GRANT",
    ),
    "recreated": Explanation("there again", "look for the trigger, rule or program that writes it again"),
    "in_use": Explanation("in use", "a later sweep removes it, once nobody is connected to it"),
    "interrupted": Explanation("not reached", "sweep again"),
}


# By detail, where what is said of the reason doesn't fit.
_HINTS = {
    SEEN_BY_BASELINE: "only a sweep without --since removes it",
    MAY_BE_CHANGED: "give its table a created_at with time zone, or let --settle wait for statistics",
}


def explained(reason: KeptReason) -> Explanation:
    """What `reason` means, and what to do about it."""
    return EXPLANATIONS[reason]


def hint(reason: KeptReason, detail: str) -> str:
    """What to do about what stays for that."""
    return _HINTS.get(detail) or explained(reason).hint


def hints(report: SweepReport) -> list[str]:
    """`too young: a later sweep removes it; …`, a line for each thing to do, about what is most first."""
    rows: Counter[str] = Counter()
    for kept in report.kept:
        rows[f"{explained(kept.reason).words}: {hint(kept.reason, kept.detail)}"] += kept.rows
    for orphan in report.orphans:
        if orphan.reason is not None:
            rows[f"{explained(orphan.reason).words}: {hint(orphan.reason, orphan.detail)}"] += 1
    return [sentence for sentence, _ in rows.most_common()]


def reasons(kept: Iterable[Kept], orphans: Iterable[Orphan]) -> Counter[KeptReason]:
    """How many rows and other things stay for which reason, what most stay for first."""
    numbers: Counter[KeptReason] = Counter()
    for one in kept:
        numbers[one.reason] += one.rows
    for orphan in orphans:
        if orphan.reason is not None:
            numbers[orphan.reason] += 1
    return Counter(dict(numbers.most_common()))


def number_of(number: int, kind: SweepKind) -> str:
    """`1 row`, `1,200 rows`."""
    return plural(number, *_KINDS[kind])


def kind(name: SweepKind) -> str:
    """`prepared transaction`."""
    return _KINDS[name][0]


def ending(name: SweepKind, dry_run: bool) -> str:
    """What is done to what of that kind goes: `would be dropped`, `dropped`."""
    return _ENDINGS[name][not dry_run]


def fate(orphan: Orphan, dry_run: bool) -> str:
    """`would be dropped`, `dropped`, or `kept: in use`."""
    if orphan.reason is not None:
        return f"kept: {explained(orphan.reason).words}"
    return ending(orphan.kind, dry_run) if orphan.removed else "kept"


def gone(report: SweepReport) -> tuple[TableRows, ...]:
    """The rows by table that were deleted; in a dry run those that would be."""
    return report.planned if report.dry_run else report.deleted


def by_database(
    sweeps: SweepReport | SweepsOfDatabases,
) -> tuple[tuple[SweepReport, ...], tuple[NotSwept, ...]]:
    """The report of each database, and the databases that weren't swept at all."""
    return ((sweeps,), ()) if isinstance(sweeps, SweepReport) else (sweeps.sweeps, sweeps.not_swept)


def place(one: SweepReport | NotSwept) -> str:
    """`app_test`, or `ci-1/app_test` of a fleet's server; `ci-1` for all its databases."""
    return "/".join(filter(None, (one.server, one.database)))


def is_clean(report: SweepReport) -> bool:
    """Whether there is nothing to tell of a database but that there was nothing to do."""
    return (
        not (gone(report) or report.kept or report.orphans or report.changed or report.side_effects)
        and report.complete
        and not report.interrupted
    )


def summary(report: SweepReport) -> str:
    """`12 rows of 3 tables to remove; 4 kept: too young (3), locked (1)`, and whether it came to an end."""
    line = f"{_gone(report)}{_kept(report)}"
    if report.not_checked:
        line += f"; {len(report.not_checked):,} not checked"
    if report.interrupted:
        line += "; interrupted before it was done"
    return line


def in_short(report: SweepReport) -> str:
    """`12 rows of 3 tables removed, 1 row changed; 4 kept`: a sweep that is over, in a message."""
    line = _gone(report)
    if changed := sum(one.rows for one in report.changed):
        line += f", {number_of(changed, 'rows')} changed"
    if kept := reasons(report.kept, report.orphans).total():
        line += f"; {kept:,} kept"
    if report.not_checked:
        line += f"; {len(report.not_checked):,} not checked"
    return f"{line}; interrupted before it was done" if report.interrupted else line


def outcome(report: SweepReport) -> str:
    """The same, and what to do to have it done."""
    line = summary(report)
    if not report.dry_run:
        return line
    anything = bool(report.planned_rows) or any(orphan.removed for orphan in report.orphans)
    return f"{line}; nothing was changed{': add --yes' if anything else ''}"


def summary_of_databases(sweeps: SweepsOfDatabases) -> str:
    """`24 rows to remove in 2 of 5 databases; 1 kept: locked (1); 1 database not swept` and so on."""
    reports = sweeps.sweeps
    dry = bool(reports) and reports[0].dry_run
    rows = sum(table.total for report in reports for table in gone(report))
    changed = sum(
        any(table.total for table in gone(report)) or any(orphan.removed for orphan in report.orphans)
        for report in reports
    )
    where = share_of(changed, len(reports), "database")
    if sweeps.servers or sweeps.shard:
        where += f" on {plural(len({report.server for report in reports}), 'server')}"
        where += f" (part {sweeps.shard} of the fleet)" if sweeps.shard else ""
    line = f"{number_of(rows, 'rows')} {'to remove' if dry else 'deleted'} in {where}"
    removed = [orphan for report in reports for orphan in report.orphans if orphan.removed]
    if removed:
        line += f", besides {', '.join(_orphans(removed))}"
    line += _stays(
        reasons(
            [kept for report in reports for kept in report.kept],
            [orphan for report in reports for orphan in report.orphans],
        )
    )
    left = sum(bool(one.database) for one in sweeps.not_swept)
    if left:
        line += f"; {number_of(left, 'databases')} not swept"
    if servers := len(sweeps.not_swept) - left:
        line += f"; {plural(servers, 'server')} not swept at all"
    if not dry:
        return line
    return f"{line}; nothing was changed{': add --yes' if rows or removed else ''}"


def scope(report: SweepReport, shown: Callable[[str], str]) -> list[str]:
    """What was swept, by which rules, and how long it took; foreign text through `shown`."""
    where = f"{shown(report.database)} (PostgreSQL {shown(report.server_version)})"
    lines = rules(report, where, shown)
    lines += giving_way.lines(report.away_s)
    lines += [f"At work in it: {shown(run)}" for run in report.live_runs]
    took = f"Took {durations.in_words(report.duration_s)}"
    if report.dry_run:
        return [*lines, took]
    passes = plural(report.passes, "pass", "passes")
    # A batch takes milliseconds.
    return [*lines, f"{took}, {passes}, longest transaction {1000 * report.longest_transaction_s:,.0f} ms"]


def left_alone(kinds: Collection[SweepKind]) -> str:
    """What `leaks` counts but a sweep of these `kinds` leaves alone, and the command that shows it."""
    first = (
        "advisory locks, replication slots" if "sessions" in kinds else "idle transactions, advisory locks"
    )
    return f"Not swept: {first} …; `pgwatch-tests leaks` shows them"


def rules(report: SweepReport, where: str, shown: Callable[[str], str]) -> list[str]:
    """What was swept in `where`, and by which rules; foreign text through `shown`."""
    kinds = ", ".join(_KINDS[name][1] for name in report.kinds)
    age = f"at least {durations.in_words(report.min_age_s)} old" if report.min_age_s else "of any age"
    lines = [f"{'Looked' if report.dry_run else 'Swept'} in {where} for {kinds}, {age}"]
    if report.part is not None:
        lines.append(f"Nothing but {shown(part(report.part))}")
    if "rows" in report.kinds:
        new = "; and rows without a marker that came since" if report.any_rows else ""
        markers = ", ".join(map(shown, report.markers))
        lines.append(f"Rows of tests: {markers}{new}; and what depends on them")
    if report.since is not None:
        lines.append(f"Nothing that was there at {clock(report.since)}, when the baseline was taken")
    return lines


def phase(progress: SweepProgress, kinds: Collection[SweepKind]) -> str:
    """What a sweep of `kinds` is at: `reading marked rows`, `planning`, `deleting`, `looking again`."""
    if "rows" not in kinds or (progress.share_done >= 1 and progress.phase not in ("survey", "plan")):
        return "looking for schemas and the like"
    return _PHASES[progress.phase]


def part(only: SweepPart) -> str:
    """`rows of public.users and what depends on them`, `schema test_1717171717171_4711_x7f3`."""
    if only.kind == "rows":
        return f"rows of {only.name} and what depends on them"
    return f"{kind(only.kind)} {only.name}"


def rate(rows: int, rows_per_s: float | None) -> str:
    """`1,200 rows, 400 rows/s`."""
    if not rows_per_s:
        return number_of(rows, "rows")
    return f"{number_of(rows, 'rows')}, {rows_per_s:,.0f} rows/s"


def table_name(schema: str, table: str) -> str:
    """`public.users`; what isn't about one table alone has no name, or a schema's."""
    return ".".join(filter(None, (schema, table)))


def _gone(report: SweepReport) -> str:
    rows, tables = sum(table.total for table in gone(report)), len(gone(report))
    parts = []
    if rows:
        parts.append(f"{number_of(rows, 'rows')} of {plural(tables, 'table')}")
    parts += _orphans([orphan for orphan in report.orphans if orphan.removed])
    if not parts:
        yet = " yet" if any(kept.reason == "too_young" for kept in report.kept) else ""
        return f"nothing to remove{yet}" if report.dry_run else "nothing removed"
    return f"{', '.join(parts)} {'to remove' if report.dry_run else 'removed'}"


def _orphans(orphans: list[Orphan]) -> list[str]:
    numbers = Counter(orphan.kind for orphan in orphans)
    return [number_of(numbers[name], name) for name in _ORPHANS if numbers[name]]


def _kept(report: SweepReport) -> str:
    return _stays(reasons(report.kept, report.orphans))


def _stays(numbers: Counter[KeptReason]) -> str:
    if not numbers:
        return ""
    whys = ", ".join(f"{explained(reason).words} ({number:,})" for reason, number in numbers.items())
    return f"; {numbers.total():,} kept: {whys}"
