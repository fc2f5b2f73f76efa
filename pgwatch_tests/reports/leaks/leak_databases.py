"""Scans of many databases as one report: a row per database that has something to tell, and what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pgwatch_tests.leaks.attribution.rows_by_test import by_test
from pgwatch_tests.leaks.model import (
    AcceptedUse,
    Ignored,
    LeakReport,
    LeaksOfDatabases,
    NotChecked,
    TableLeak,
)
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.reports.render.digest import FIRST, Digest, Part
from pgwatch_tests.reports.sections import REASON, Section
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import named, plural

Shown = Callable[[str], str]
"""Makes foreign text harmless for a format."""


def telling(leaks: LeaksOfDatabases) -> list[LeakReport]:
    """The databases that there is something to tell of: most leaked rows first, then most leftovers."""
    reports = [report for report in leaks.databases if not leak_words.is_clean(report)]
    return sorted(reports, key=lambda one: (-one.total, -len(one.leftovers), one.complete))


def clean(leaks: LeaksOfDatabases) -> list[str]:
    """The names of the databases that there is nothing to tell of."""
    return [leak_words.place(report) for report in leaks.databases if leak_words.is_clean(report)]


def digest(leaks: LeaksOfDatabases, shown: Shown, in_full: bool = True) -> Digest:
    """The tables and sentences on all databases; what is looked for is named `in_full`, or counted."""
    per_server, total = servers(leaks, shown)
    remarked = [*remarks(leaks, shown), *leak_words.unseen(leaks)]
    return Digest(
        (
            Part("Databases", databases(leaks, shown), ("database", "databases"), 3),
            Part("Not checked", not_checked(leaks, shown), ("reason", "reasons"), FIRST),
            Part("Servers", per_server, ("server", "servers"), 2, total if len(leaks.servers) > 1 else ()),
            Part("Tables", tables(leaks, shown), ("table", "tables"), 2),
            Part("Left over", leftovers(leaks, shown), ("thing", "things")),
            Part("By test", tests(leaks, shown), ("test", "tests")),
        ),
        leak_words.summary(leaks),
        clean(leaks),
        "Clean: {}",
        "No database is clean; --verbose tells all of each" if leaks.databases else "",
        scope(leaks, shown, in_full),
        remarked,
    )


def databases(leaks: LeaksOfDatabases, shown: Shown) -> Section:
    """The databases that there is something to tell of, a row each."""
    has_servers = bool(leaks.servers)
    columns = ("Database", "Rows", "Left over", "Unchecked", "Most rows in")
    rows = []
    for report in telling(leaks):
        most = max(report.tables, key=lambda leak: leak.rows, default=None)
        cells = (
            shown(report.database),
            f"{report.total:,}",
            f"{len(report.leftovers):,}",
            f"{_unchecked(report):,}",
            "" if most is None else shown(f"{most.schema}.{most.table}"),
        )
        rows.append((shown(report.server), *cells) if has_servers else cells)
    return Section(("Server", *columns) if has_servers else columns, f"{'l' * has_servers}lrrrl", rows)


def servers(leaks: LeaksOfDatabases, shown: Shown) -> tuple[Section, Sequence[str]]:
    """A row per server, those with something to tell first, and the row for all of them."""
    rows = {server: _figures(leaks, server) for server in leaks.servers}
    order = sorted(rows, key=lambda server: [-figure for figure in reversed(rows[server][2:])])
    total = [sum(column) for column in zip(*rows.values(), strict=True)] if rows else []
    section = Section(
        ("Server", "Databases", "Clean", "Unchecked", "Left over", "Rows"),
        "lrrrrr",
        [(shown(server), *_written(rows[server])) for server in order],
    )
    return section, (f"all {plural(len(rows), 'server')}", *_written(total))


def tables(leaks: LeaksOfDatabases, shown: Shown) -> Section:
    """The tables with leaked rows, by name over all databases; most rows first."""
    rows: Counter[str] = Counter()
    places: dict[str, list[str]] = {}
    for report in telling(leaks):
        for leak in report.tables:
            name = f"{leak.schema}.{leak.table}"
            rows[name] += leak.rows
            places.setdefault(name, []).append(leak_words.place(report))
    return Section(
        ("Table", "Rows", "Databases", "Such as"),
        "lrrl",
        [
            (shown(name), f"{number:,}", f"{len(places[name]):,}", shown(places[name][0]))
            for name, number in rows.most_common()
        ],
    )


def tests(leaks: LeaksOfDatabases, shown: Shown) -> Section:
    """The tests that left rows, over all databases; none if it wasn't asked who did."""
    every: Iterable[TableLeak] = (leak for report in leaks.databases for leak in report.tables)
    return Section(
        ("By test", "Rows", "Known by", "Most rows in"),
        "lrll",
        [
            (
                shown(leak_words.test_name(one)),
                f"{one.rows:,}",
                leak_words.known_by(one),
                shown(one.tables[0][0]) if one.tables else "",
            )
            for one in by_test(every)
        ],
    )


def leftovers(leaks: LeaksOfDatabases, shown: Shown) -> Section:
    """What is left over besides rows, and where."""
    return Section(
        ("Left over", "Name", "Age", "Database"),
        "llrl",
        [
            (
                leak_words.kind(one.kind),
                shown(one.name),
                "" if one.age_s is None else durations.in_words(one.age_s),
                shown(leak_words.place(report)),
            )
            for report in telling(leaks)
            for one in report.leftovers
        ],
    )


def not_checked(leaks: LeaksOfDatabases, shown: Shown) -> Section:
    """What wasn't checked, by the reason: databases and servers as a whole, then tables and kinds."""
    whole = grouped(leaks.not_checked)
    parts: dict[tuple[str, str], list[str]] = {}
    for report in telling(leaks):
        place = leak_words.place(report)
        for skipped in report.skipped:
            key = (f"{skipped.schema}.{skipped.table}", skipped.reason)
            parts.setdefault(key, []).append(place)
        for unchecked in report.unchecked:
            parts.setdefault((leak_words.kind(unchecked.kind, 2), unchecked.reason), []).append(place)
    return Section(
        ("Not checked", REASON),
        "ll",
        [
            *((shown(named(names)), shown(reason)) for reason, names in whole.items()),
            *(
                (shown(f"{what} in {named(list(dict.fromkeys(names)))}"), shown(reason))
                for (what, reason), names in parts.items()
            ),
        ],
    )


def scope(leaks: LeaksOfDatabases, shown: Shown, in_full: bool = True) -> list[str]:
    """What was looked for, and in what: once, for what databases have in common."""
    reports = leaks.databases
    if not reports:
        return []
    numbers = [report.tables_checked for report in reports]
    each = f"{min(numbers):,} to {max(numbers):,}" if len(set(numbers)) > 1 else f"{numbers[0]:,} each"
    checked = plural(sum(numbers), "table")
    where = f" ({each})" if len(reports) > 1 else ""
    versions = Counter(report.server_version for report in reports)
    used = [
        f"{shown(version)}{f' ({number:,})' if len(versions) > 1 else ''}"
        for version, number in versions.most_common()
    ]
    lines = [
        f"Checked {checked}{where}, PostgreSQL {', '.join(used)}, for {leak_words.wanted(reports[0], shown)}"
    ]
    kinds = dict.fromkeys(kind for report in reports for kind in report.kinds_checked)
    if kinds and not in_full:
        lines.append(f"Leftovers looked for: {plural(len(kinds), 'kind')} (--kinds)")
    elif kinds:
        lines.append(f"Leftovers looked for: {', '.join(leak_words.kind(kind, 2) for kind in kinds)}")
    else:
        lines.append("Only rows were looked for")
    without = [server for server in leaks.servers if not any(_figures(leaks, server)[:1])]
    without = [server for server in without if all(one.server != server for one in leaks.not_checked)]
    if without:
        lines.append(f"No database fits on {shown(named(without))}")
    return lines


def remarks(leaks: LeaksOfDatabases, shown: Shown) -> list[str]:
    """What to mind of the databases together: what wasn't read, is ignored, accepted, at work, in the way."""
    if not leaks.databases:
        return []
    both = _together(leaks.databases)
    unread = leak_words.unread(both, shown)
    return [
        *([f"Not read{unread}"] if unread else []),
        *leak_words.without_strings(both, shown),
        *leak_words.compared(both, shown),
    ]


def _together(reports: Sequence[LeakReport]) -> LeakReport:
    """The reports as if they were of one database; names that several have are there once."""
    ignored: Counter[tuple[str, str]] = Counter()
    for report in reports:
        for one in report.ignored:
            ignored[one.what, one.reason] += one.tables
    uses = [report.accepted for report in reports if report.accepted is not None]
    accepted = AcceptedUse(
        tuple(one for use in uses for one in use.known), tuple(one for use in uses for one in use.gone)
    )
    return replace(
        reports[0],
        ignored=tuple(Ignored(what, reason, tables) for (what, reason), tables in ignored.items()),
        accepted=accepted if uses else None,
        unread=tuple(dict.fromkeys(one for report in reports for one in report.unread)),
        without_strings=tuple(dict.fromkeys(one for report in reports for one in report.without_strings)),
        live_runs=tuple(dict.fromkeys(one for report in reports for one in report.live_runs)),
        away_s=tuple(one for report in reports for one in report.away_s),
        in_the_way_s=max(report.in_the_way_s for report in reports),
    )


def grouped(items: Iterable[NotChecked]) -> dict[str, list[str]]:
    """The places that weren't checked, by the reason."""
    places: dict[str, list[str]] = {}
    for one in items:
        places.setdefault(one.reason, []).append(leak_words.place(one))
    return places


def _figures(leaks: LeaksOfDatabases, server: str) -> list[int]:
    """Databases, clean ones, what wasn't checked, leftovers, leaked rows."""
    reports = [report for report in leaks.databases if report.server == server]
    missing = sum(one.server == server for one in leaks.not_checked)
    return [
        len(reports) + sum(bool(one.database) for one in leaks.not_checked if one.server == server),
        sum(map(leak_words.is_clean, reports)),
        missing + sum(not report.complete for report in reports),
        sum(len(report.leftovers) for report in reports),
        sum(report.total for report in reports),
    ]


def _written(figures: Iterable[int]) -> list[str]:
    return [f"{figure:,}" for figure in figures]


def _unchecked(report: LeakReport) -> int:
    return len({(one.schema, one.table) for one in report.skipped}) + len(report.unchecked)
