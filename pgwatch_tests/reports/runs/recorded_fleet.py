"""Recordings of a fleet as one report: totals per server and in all, what wasn't recorded. Pure.

Text, Markdown, and the JSON document `pgwatch-tests.report-of-servers/1`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields

from pgwatch_tests.record.merging.recorded_fleet import RecordedFleet, RecordedTotals
from pgwatch_tests.reports.render import markdown_text
from pgwatch_tests.reports.render.digest import FIRST, Digest, Part, screen_text, whole_text
from pgwatch_tests.reports.render.digest import markdown as digest_blocks
from pgwatch_tests.reports.render.markdown_text import code
from pgwatch_tests.reports.sections import REASON, Section
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import at_least, named, plural, share_of
from pgwatch_tests.text.plain_text import plain, shortened_left
from pgwatch_tests.text.times import iso_time

SCHEMA = "pgwatch-tests.report-of-servers/1"
_NAME_WIDTH = 24

Shown = Callable[[str], str]
"""Makes foreign text harmless for a format."""


def table(fleet: RecordedFleet, top: int | None = None) -> str:
    """The report on a screen of 80 columns and 24 lines; with `top` all servers, and so many pairs."""
    if top is None:
        return screen_text(_digest(fleet, plain, lambda text: shortened_left(plain(text), _NAME_WIDTH)))
    return whole_text(_digest(fleet, plain, plain, top), ())


def markdown(fleet: RecordedFleet, top: int) -> str:
    """All servers, and the `top` pairs with most blocked time."""
    return markdown_text.document(_markdown_blocks(fleet, top))


def document(fleet: RecordedFleet) -> str:
    """The JSON document, on one line."""
    sums = _sums(fleet.servers)
    content = {
        "schema": SCHEMA,
        "until": None if fleet.until is None else iso_time(fleet.until, "microseconds"),
        "shard": fleet.shard or None,
        "complete": not fleet.not_recorded and not fleet.not_checked,
        "total": {name: value for name, value in sums.items() if name not in ("name", "version", "pairs")},
        "servers": [_server(one) for one in fleet.servers],
        "not_recorded": [asdict(one) for one in fleet.not_recorded],
        "not_checked": list(fleet.not_checked),
    }
    return json.dumps(content, allow_nan=False)


def summary(fleet: RecordedFleet) -> str:
    """`48 s blocked in 12 waits, 2 deadlocks, 8 rows left on 2 of 5 servers; 1 server not recorded`."""
    total = _sums(fleet.servers)
    counts = (
        ("hangs", "hang", ""),
        ("deadlocks", "deadlock", ""),
        ("cut_off", "run cut off", "runs cut off"),
        ("leaked_rows", "leaked row", ""),
        ("leftovers", "other leftover", ""),
    )
    found = [plural(int(total[name]), noun, nouns) for name, noun, nouns in counts if total[name]]
    if total["waits"]:
        blocked = durations.in_words(total["blocked_s"])
        found.append(f"{blocked} blocked in {plural(int(total['waits']), 'wait')}")
    telling = sum(one.has_findings for one in fleet.servers)
    line = f"{', '.join(found) or 'nothing'} on {share_of(telling, len(fleet.servers), 'server')}"
    line += f" (part {fleet.shard} of the fleet)" if fleet.shard else ""
    if total["unwatched_s"]:
        line += f"; not watched for {durations.in_words(total['unwatched_s'])}"
    if unchecked := sum(not one.leaks_checked for one in fleet.servers):
        line += f"; leaks not checked on {plural(unchecked, 'server')}"
    if fleet.not_recorded:
        line += f"; {plural(len(fleet.not_recorded), 'server')} not recorded"
    return line


def _digest(fleet: RecordedFleet, shown: Shown, test: Shown, most_pairs: int | None = None) -> Digest:
    """`test` shows the name of a test, perhaps shortened."""
    has_gaps = any(one.unwatched_s for one in fleet.servers)
    total = _cells(_sums(fleet.servers), has_gaps)
    several = len(fleet.servers) > 1
    return Digest(
        (
            Part(
                "Servers",
                _servers(fleet, shown, has_gaps),
                ("server", "servers"),
                3,
                (f"all {plural(len(fleet.servers), 'server')}", *total) if several else (),
            ),
            Part("Not recorded", _not_recorded(fleet, shown), ("reason", "reasons"), FIRST),
            Part("By pair of tests", _pairs(fleet, test, most_pairs), ("pair", "pairs"), 2),
        ),
        summary(fleet),
        (),
        "",
        "",
        [],
        [shown(line) for line in fleet.not_checked],
    )


def _markdown_blocks(fleet: RecordedFleet, top: int) -> Iterator[str]:
    yield f"## Recorded: {summary(fleet)}"
    yield from digest_blocks(_digest(fleet, code, code, top), (), "findings")


def _servers(fleet: RecordedFleet, shown: Shown, has_gaps: bool) -> Section:
    """A row per server, those with most to tell first."""

    def worst_first(one: RecordedTotals) -> tuple[float, ...]:
        return -one.hangs, -one.deadlocks, -one.blocked_s, -one.leaked_rows, -one.leftovers, -one.unwatched_s

    gap = ("Unwatched",) if has_gaps else ()
    columns = ("Server", "Watched", *gap, "Blocked", "Waits", "Deadlocks", "Left")
    ordered = sorted(fleet.servers, key=worst_first)
    rows = [(shown(one.name), *_cells(_figures(one), has_gaps)) for one in ordered]
    return Section(columns, "l" + "r" * (len(columns) - 1), rows)


def _not_recorded(fleet: RecordedFleet, shown: Shown) -> Section:
    places: dict[str, list[str]] = {}
    for one in fleet.not_recorded:
        places.setdefault(one.reason, []).append(one.server)
    return Section(
        ("Not recorded", REASON),
        "ll",
        [(shown(named(names)), plain(reason)) for reason, names in places.items()],
    )


def _pairs(fleet: RecordedFleet, shown: Shown, most: int | None) -> Section:
    """Pairs of tests, by name over all servers; most blocked time first."""
    sums: dict[tuple[str, str], list[float]] = {}
    places: dict[tuple[str, str], list[str]] = {}
    for server in fleet.servers:
        for one in server.pairs:
            pair = one.blocker, one.waiter
            before = sums.setdefault(pair, [0.0, 0.0])
            sums[pair] = [before[0] + one.sum.blocked_s, max(before[1], one.sum.longest_s)]
            places.setdefault(pair, []).append(server.name)
    ranked = sorted(sums, key=lambda pair: -sums[pair][0])
    return Section(
        ("Blocked", "Blocking test", "Waiting test", "Servers"),
        "rllr",
        [
            (durations.short(sums[pair][0]), shown(pair[0]), shown(pair[1]), f"{len(places[pair]):,}")
            for pair in ranked[:most]
        ],
    )


_FIGURES = tuple(one.name for one in fields(RecordedTotals) if one.name not in ("name", "version", "pairs"))


def _figures(one: RecordedTotals) -> dict[str, float]:
    return {name: getattr(one, name) for name in _FIGURES}


def _sums(servers: Iterable[RecordedTotals]) -> dict[str, float]:
    """The totals of all; the longest wait is that of the longest."""
    each = [_figures(one) for one in servers]
    total = {name: sum(one[name] for one in each) for name in _FIGURES}
    total["longest_s"] = max((one["longest_s"] for one in each), default=0.0)
    total["leaks_checked"] = all(one["leaks_checked"] for one in each)
    return total


def _cells(figures: dict[str, float], has_gaps: bool) -> tuple[str, ...]:
    """As the columns of servers; what was left is `?` where nobody looked."""
    gap = durations.short(figures["unwatched_s"]) if figures["unwatched_s"] else ""
    return (
        durations.short(figures["watched_s"]),
        *([gap] if has_gaps else []),
        durations.short(figures["blocked_s"]),
        f"{int(figures['waits']):,}",
        f"{int(figures['deadlocks']):,}",
        at_least(int(figures["leaked_rows"] + figures["leftovers"]), bool(figures["leaks_checked"])),
    )


def _server(one: RecordedTotals) -> dict[str, object]:
    pairs = [
        {
            "blocker": pair.blocker,
            "waiter": pair.waiter,
            **asdict(pair.sum),
            "object": pair.object,
            "cause": pair.cause,
            "advice": pair.advice,
        }
        for pair in one.pairs
    ]
    return {"server": one.name, "server_version": one.version, **_figures(one), "pairs": pairs}
