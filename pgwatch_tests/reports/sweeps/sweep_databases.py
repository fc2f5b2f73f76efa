"""Sweeps of many databases as one report: a row per database that has something to tell, and what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from pgwatch_tests.reports import giving_way
from pgwatch_tests.reports.render.digest import FIRST, Digest, Part
from pgwatch_tests.reports.sections import REASON, Section
from pgwatch_tests.reports.sweeps import sweep_remarks, sweep_words
from pgwatch_tests.sweep.model import (
    AlsoReferring,
    KeptReason,
    SideEffects,
    SweepReport,
    SweepsOfDatabases,
    TableRows,
)
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import named, plural

Shown = Callable[[str], str]
"""Makes foreign text harmless for a format."""


def telling(sweeps: SweepsOfDatabases) -> list[SweepReport]:
    """The databases that there is something to tell of: most rows first."""
    reports = [report for report in sweeps.sweeps if not sweep_words.is_clean(report)]
    return sorted(reports, key=lambda one: (-_rows(one), -_kept(one), one.complete))


def clean(sweeps: SweepsOfDatabases) -> list[str]:
    """The names of the databases in which there was nothing to do."""
    return [sweep_words.place(report) for report in sweeps.sweeps if sweep_words.is_clean(report)]


def digest(sweeps: SweepsOfDatabases, shown: Shown) -> Digest:
    """The tables and sentences on all databases."""
    per_server, total = servers(sweeps, shown)
    told = scope(sweeps, shown)
    verb = "do" if is_dry(sweeps) else "tell of"
    return Digest(
        (
            Part("Databases", databases(sweeps, shown), ("database", "databases"), 3),
            Part("Not swept", not_swept(sweeps, shown), ("reason", "reasons"), FIRST),
            Part("Servers", per_server, ("server", "servers"), 2, total if len(sweeps.servers) > 1 else ()),
            Part("Tables", tables(sweeps, shown), ("table", "tables"), 2),
            Part("Kept", kept(sweeps, shown), ("reason", "reasons")),
        ),
        sweep_words.summary_of_databases(sweeps),
        clean(sweeps),
        "Nothing to do in {}",
        f"There is something to {verb} in each; --verbose tells all of it" if sweeps.sweeps else "",
        [". ".join(told)] if told else [],
        remarks(sweeps, shown),
    )


def is_dry(sweeps: SweepsOfDatabases) -> bool:
    """Whether nothing was changed."""
    return any(report.dry_run for report in sweeps.sweeps)


def databases(sweeps: SweepsOfDatabases, shown: Shown) -> Section:
    """The databases that there is something to tell of, a row each."""
    has_servers = bool(sweeps.servers)
    rows = []
    for report in telling(sweeps):
        reasons = sweep_words.reasons(report.kept, report.orphans)
        most = next(iter(reasons), None)
        why = "" if most is None else sweep_words.explained(most).words
        cells = (
            shown(report.database),
            f"{_rows(report):,}",
            f"{sum(orphan.removed for orphan in report.orphans):,}",
            f"{_kept(report):,}",
            "ended early" if report.error else "interrupted" if report.interrupted else why,
        )
        rows.append((shown(report.server), *cells) if has_servers else cells)
    columns = ("Database", "To remove" if is_dry(sweeps) else "Removed", "Besides", "Kept", "Mostly since")
    return Section(("Server", *columns) if has_servers else columns, f"{'l' * has_servers}lrrrl", rows)


def servers(sweeps: SweepsOfDatabases, shown: Shown) -> tuple[Section, Sequence[str]]:
    """A row per server, those with something to tell first, and the row for all of them."""
    figures = {server: _figures(sweeps, server) for server in sweeps.servers}
    order = sorted(figures, key=lambda server: [-figure for figure in reversed(figures[server][1:])])
    total = [sum(column) for column in zip(*figures.values(), strict=True)] if figures else []
    section = Section(
        ("Server", "Databases", "Not swept", "Kept", "Besides", "Rows"),
        "lrrrrr",
        [(shown(server), *(f"{figure:,}" for figure in figures[server])) for server in order],
    )
    return section, (f"all {plural(len(figures), 'server')}", *(f"{figure:,}" for figure in total))


def tables(sweeps: SweepsOfDatabases, shown: Shown) -> Section:
    """The tables that rows go from, by name over all databases; most rows first."""
    rows: Counter[str] = Counter()
    places: dict[str, list[str]] = {}
    for report in telling(sweeps):
        for one in sweep_words.gone(report):
            name = sweep_words.table_name(one.schema, one.table)
            rows[name] += one.total
            places.setdefault(name, []).append(sweep_words.place(report))
    return Section(
        ("Would be deleted from" if is_dry(sweeps) else "Deleted from", "Rows", "Databases", "Such as"),
        "lrrl",
        [
            (shown(name), f"{number:,}", f"{len(places[name]):,}", shown(places[name][0]))
            for name, number in rows.most_common()
        ],
    )


def kept(sweeps: SweepsOfDatabases, shown: Shown) -> Section:
    """Why something stays, in how many databases, and what to do about it; what most stays for first."""
    numbers: Counter[KeptReason] = Counter()
    places: dict[KeptReason, list[str]] = {}
    for report in telling(sweeps):
        for reason, number in sweep_words.reasons(report.kept, report.orphans).items():
            numbers[reason] += number
            places.setdefault(reason, []).append(sweep_words.place(report))
    return Section(
        ("Kept", "Number", "Databases", "Such as", "What to do"),
        "lrrll",
        [
            (
                sweep_words.explained(reason).words,
                f"{number:,}",
                f"{len(places[reason]):,}",
                shown(places[reason][0]),
                sweep_words.explained(reason).hint,
            )
            for reason, number in numbers.most_common()
        ],
    )


def not_swept(sweeps: SweepsOfDatabases, shown: Shown) -> Section:
    """What wasn't swept, wasn't checked, or ended early, by the reason."""
    places: dict[str, list[str]] = {}
    for one in sweeps.not_swept:
        places.setdefault(one.reason, []).append(sweep_words.place(one))
    for report in telling(sweeps):
        early = [f"ended early: {report.error}"] if report.error else []
        for sentence in (*early, *report.not_checked):
            places.setdefault(sentence, []).append(sweep_words.place(report))
    return Section(
        ("Not swept", REASON),
        "ll",
        [(shown(named(names)), shown(reason)) for reason, names in places.items()],
    )


def scope(sweeps: SweepsOfDatabases, shown: Shown) -> list[str]:
    """What was swept, by which rules, and how long it took: once, for what databases have in common."""
    if not sweeps.sweeps:
        return []
    versions = Counter(report.server_version for report in sweeps.sweeps)
    used = ", ".join(
        f"{shown(version)}{f' ({number:,})' if len(versions) > 1 else ''}"
        for version, number in versions.most_common()
    )
    where = f"{plural(len(sweeps.sweeps), 'database')} (PostgreSQL {used})"
    # Of the first one of a server: databases left behind are looked for once.
    return [
        *sweep_words.rules(sweeps.sweeps[0], where, shown),
        f"Took {durations.in_words(sweeps.duration_s)}",
    ]


def remarks(sweeps: SweepsOfDatabases, shown: Shown) -> list[str]:
    """What to mind of the databases together: unmarked rows, changed ones, triggers, who is at work."""
    if not sweeps.sweeps:
        return []
    both = _together(sweeps.sweeps)
    beside = sweep_remarks.beside_in_all(both) if both.changed or both.side_effects else ""
    told = (
        sweep_remarks.unmarked(both, shown),
        sweep_remarks.also_referring(both, shown),
        sweep_remarks.in_spite_of_age(both),
        beside,
    )
    return [
        *filter(None, told),
        *(f"At work: {shown(run)}" for run in both.live_runs),
        *giving_way.lines(both.away_s),
        sweep_words.left_alone(both.kinds),
    ]


def _together(reports: Sequence[SweepReport]) -> SweepReport:
    """The reports as if they were of one database; tables of a name are one."""
    return replace(
        reports[0],
        planned=_tables([one for report in reports for one in report.planned]),
        deleted=_tables([one for report in reports for one in report.deleted]),
        changed=tuple(one for report in reports for one in report.changed),
        also_refer=_also_refer([one for report in reports for one in report.also_refer]),
        side_effects=_effects([one for report in reports for one in report.side_effects]),
        in_spite_of_age=sum(report.in_spite_of_age for report in reports),
        ended_runs=tuple(dict.fromkeys(run for report in reports for run in report.ended_runs)),
        live_runs=tuple(dict.fromkeys(run for report in reports for run in report.live_runs)),
        away_s=tuple(one for report in reports for one in report.away_s),
    )


def _tables(rows: Sequence[TableRows]) -> tuple[TableRows, ...]:
    by_name: dict[tuple[str, str], TableRows] = {}
    for one in rows:
        known = by_name.get((one.schema, one.table), TableRows(one.schema, one.table, 0, 0))
        by_name[one.schema, one.table] = replace(
            known,
            marked=known.marked + one.marked,
            dependent=known.dependent + one.dependent,
            unmarked=known.unmarked + one.unmarked,
        )
    return tuple(by_name.values())


def _also_refer(rows: Sequence[AlsoReferring]) -> tuple[AlsoReferring, ...]:
    by_names: dict[tuple[str, ...], AlsoReferring] = {}
    for one in rows:
        names = one.schema, one.table, one.parent_schema, one.parent_table
        known = by_names.get(names)
        by_names[names] = (
            one
            if known is None
            else replace(
                one, rows=known.rows + one.rows, at_least=known.at_least or one.at_least, examples=()
            )
        )
    return tuple(sorted(by_names.values(), key=lambda one: -one.rows))


def _effects(effects: Sequence[SideEffects]) -> tuple[SideEffects, ...]:
    by_name: dict[tuple[str, str], SideEffects] = {}
    for one in effects:
        known = by_name.get((one.schema, one.table), SideEffects(one.schema, one.table, 0, 0, 0))
        by_name[one.schema, one.table] = replace(
            known,
            inserted=known.inserted + one.inserted,
            updated=known.updated + one.updated,
            deleted=known.deleted + one.deleted,
            emptied=known.emptied or one.emptied,
        )
    return tuple(by_name.values())


def _figures(sweeps: SweepsOfDatabases, server: str) -> list[int]:
    """Databases, those not swept, what is kept, what goes besides rows, rows that go."""
    reports = [report for report in sweeps.sweeps if report.server == server]
    left = [one for one in sweeps.not_swept if one.server == server]
    return [
        len(reports) + sum(bool(one.database) for one in left),
        len(left),
        sum(map(_kept, reports)),
        sum(orphan.removed for report in reports for orphan in report.orphans),
        sum(map(_rows, reports)),
    ]


def _rows(report: SweepReport) -> int:
    return sum(one.total for one in sweep_words.gone(report))


def _kept(report: SweepReport) -> int:
    return sweep_words.reasons(report.kept, report.orphans).total()
