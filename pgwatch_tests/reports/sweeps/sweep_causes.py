"""Why rows stay, by cause, in the words of all reports of sweeps. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pgwatch_tests.reports.sweeps.sweep_words import explained, table_name
from pgwatch_tests.sweep.model import SEEN_BY_BASELINE, Cause, SweepReport
from pgwatch_tests.text.numbers import plural


def sentence(cause: Cause, shown: Callable[[str], str]) -> str:
    """`317 rows stay because public.x (id=7) bears no marker and … (300 of a, 17 of b)`.

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
    where = tables(cause, shown)
    return f"{stay}{why} ({where})" if where else f"{stay}{why}"


def tables(cause: Cause, shown: Callable[[str], str]) -> str:
    """`300 of public.users, 17 of 2 more tables`; `public.users` if it is one; empty if none is known."""
    rows: Counter[str] = Counter()
    for kept in cause.kept:
        rows[table_name(kept.schema, kept.table)] += kept.rows
    del rows[""]
    if len(rows) == 1:
        return shown(next(iter(rows)))
    named = rows.most_common(2 if len(rows) == 2 else 1)
    parts = [f"{number:,} of {shown(name)}" for name, number in named]
    if more := len(rows) - len(named):
        left = rows.total() - sum(number for _, number in named)
        parts.append(f"{left:,} of {plural(more, 'more table')}")
    return ", ".join(parts)


def more(report: SweepReport, shown: int) -> str:
    """`and 34 more causes, 5,432 rows`: those behind the first `shown`."""
    rest = report.causes[shown:]
    rows = sum(cause.rows for cause in rest)
    return f"and {plural(len(rest), 'more cause')}, {plural(rows, 'row')}"
