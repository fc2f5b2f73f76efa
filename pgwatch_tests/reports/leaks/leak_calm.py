"""Words for a database as a whole: what is left in it; calm only where all was checked. Pure."""

from __future__ import annotations

from pgwatch_tests.leaks.model import LeakReport, Leftover
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.reports.locks.test_labels import label_of_test
from pgwatch_tests.reports.render.detail_text import KeyName, Line
from pgwatch_tests.text.numbers import at_least, named, plural
from pgwatch_tests.text.plain_text import plain, shortened_middle
from pgwatch_tests.text.times import clock
from pgwatch_tests.text.toned_text import Tone, Toned

_LONGEST_TEST = 32
"""Characters of a test's name in a sentence about the sessions that are left."""
_MOST_NAMED = 2
_LONGEST_DATABASE = 24
"""Characters of a database's name in front of its figures."""


def nothing_left(report: LeakReport, *, is_stale: bool = False) -> list[Line]:
    """The lines for a report without any finding: in the tone of calm only if all was checked, just now."""
    all_checked = report.complete and bool(report.kinds_checked) and not report.unread and not is_stale
    lines: list[Line] = [
        (
            Toned(
                f"No leaked rows in {plural(report.tables_checked, 'table')} of {plain(report.database)}.",
                "good" if all_checked else "",
            ),
        )
    ]
    if report.unread:
        columns = f"{plural(len(report.unread), 'column')} not read{leak_words.unread(report, plain)}"
        lines.append((Toned(f"? {columns}. {leak_words.UNREAD_HINT}.", "notice"),))
    looked: Tone = "quiet" if report.kinds_checked else "notice"
    lines.append((Toned(f"{leak_words.looked_for(report)}.", looked),))
    return [*lines, *((Toned(f"{line}.", "quiet"),) for line in leak_words.unseen(report))]


def summary(report: LeakReport, grouping: str, trouble: str) -> Line:
    """`app_test: 13 leaked rows, 2 leftovers, 1 not checked, 12 tables checked · at 18:02:11`, toned.

    `grouping` says by what; `trouble` why the latest count failed. What tells least is last: it is cut first.
    """
    unchecked = len(report.skipped) + len(report.unchecked)
    parts: list[tuple[str, Tone]] = [
        (some(report.total, "leaked row", is_all=not report.skipped), _tone(report.total, "trouble"))
    ]
    if report.kinds_checked:
        left = len(report.leftovers)
        parts.append((some(left, "leftover", is_all=not report.unchecked), _tone(left, "warning")))
    parts += [(f"{unchecked:,} not checked", "notice")] if unchecked else []
    parts.append((f"{plural(report.tables_checked, 'table')} checked", "quiet"))
    line = [Toned(f"{shortened_middle(plain(report.database), _LONGEST_DATABASE)}: ", "quiet")]
    for number, (text, tone) in enumerate(parts):
        line += [Toned(", ", "quiet")] if number else []
        line.append(Toned(text, tone))
    line.append(Toned(f" · at {clock(report.checked_at)}", "quiet"))
    if trouble:
        line.append(Toned(f" (latest count failed: {plain(trouble)})", "warning"))
    if grouping:
        line.append(Toned(f" · {grouping}", "quiet"))
    return tuple(line)


def left_by_sweeps(report: LeakReport, keys: KeyName, *, acts: bool) -> str:
    """`1 session is left, too (test_create): 3, then K`: what no sweep removes, and the way to it.

    Empty without such a session. `keys` names those of the Leaks tab; with `acts`, one ends sessions.
    """
    left = left_sessions(report)
    if not left:
        return ""
    whose = named(list(dict.fromkeys(map(session_name, left))), _MOST_NAMED)
    ends = f", then {keys('terminate')}" if acts else ""
    number = f"{plural(len(left), 'session')} {'is' if len(left) == 1 else 'are'} left, too"
    return f"{number} ({whose}): {keys('leaks')}{ends}"


def left_sessions(report: LeakReport) -> list[Leftover]:
    """The leftovers that are sessions, or locks of one: each session once."""
    found = {one.session: one for one in reversed(report.leftovers) if one.session is not None}
    return list(reversed(found.values()))


def session_name(left: Leftover) -> str:
    """`test_create`, the test or application of a session that was left; `pid 4711` if it named none."""
    if left.test:
        return shortened_middle(label_of_test(left.test).name, _LONGEST_TEST)
    return plain(left.name) if left.session is None else f"pid {left.session.pid}"


def some(number: int, noun: str, *, is_all: bool) -> str:
    """`7 leaked rows`; `7+ leaked rows` if there may be more."""
    return plural(number, noun) if is_all else f"{at_least(number, is_all)} {noun}s"


def _tone(number: int, tone: Tone) -> Tone:
    return tone if number else "quiet"
