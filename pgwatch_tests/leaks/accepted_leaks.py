"""Accepted leaks: findings that a team accepts are taken out of a report and counted apart. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pgwatch_tests.accepted_findings import ANY_TEST, Acceptance, Finding, stable
from pgwatch_tests.leaks.attribution.rows_by_test import is_certain
from pgwatch_tests.leaks.model import Accepted, AcceptedUse, Attribution, LeakReport, Leftover, TableLeak

ROWS = "rows"
# Kinds whose names a program generates, mostly with a number in it.
_NUMBERED = ("schema", "database", "prepared_transaction", "temporary_schema")


def findings(reports: Iterable[LeakReport]) -> set[Finding]:
    """Returns all findings, as entries of a file of accepted findings."""
    present: set[Finding] = set()
    for report in reports:
        for leak in report.tables:
            present |= {_of_rows(leak, one) for one in leak.attribution} or {_of_rows(leak, None)}
        present |= {_of_leftover(one) for one in report.leftovers}
    return present


def without_accepted(reports: Sequence[LeakReport], acceptance: Acceptance) -> list[LeakReport]:
    """The reports with new findings only; each says in `accepted` what was taken out of it.

    What none of the reports found any more is in the first one's `accepted`, as far as it was looked for.
    """
    matched: set[Finding] = set()
    judged: list[LeakReport] = []
    for report in reports:
        known: list[Accepted] = []
        tables = [leak for table in report.tables if (leak := _new_rows(table, acceptance, known))]
        leftovers = [one for one in report.leftovers if not _is_known(one, acceptance, known)]
        matched |= {one.entry for one in known}
        judged.append(
            replace(
                report,
                tables=tuple(tables),
                leftovers=tuple(leftovers),
                accepted=AcceptedUse(tuple(known)),
            )
        )
    gone = [one for one in acceptance.of("leaks") if one not in matched and _was_looked_for(one, reports)]
    if judged:
        first = judged[0].accepted
        assert first is not None
        judged[0] = replace(judged[0], accepted=replace(first, gone=tuple(gone)))
    return judged


def _new_rows(leak: TableLeak, acceptance: Acceptance, known: list[Accepted]) -> TableLeak | None:
    """Returns the rows of a table that no entry accepts; None without any.

    The others are added to `known`.
    """
    if not leak.attribution:
        entry = acceptance.entry_for(_of_rows(leak, None))
        if entry is None:
            return leak
        known.append(Accepted(entry, leak.rows))
        return None
    new: list[Attribution] = []
    for one in leak.attribution:
        entry = acceptance.entry_for(_of_rows(leak, one))
        if entry is None:
            new.append(one)
        else:
            known.append(Accepted(entry, one.rows))
    if not new:
        return None
    return replace(leak, rows=sum(one.rows for one in new), attribution=tuple(new))


def _is_known(leftover: Leftover, acceptance: Acceptance, known: list[Accepted]) -> bool:
    entry = acceptance.entry_for(_of_leftover(leftover))
    if entry is not None:
        known.append(Accepted(entry, 1))
    return entry is not None


def _of_rows(leak: TableLeak, attribution: Attribution | None) -> Finding:
    test = ANY_TEST if attribution is None else attribution.test if is_certain(attribution) else ""
    return Finding("leaks", ROWS, f"{stable(leak.schema)}.{leak.table}", test)


def _of_leftover(leftover: Leftover) -> Finding:
    place = stable(leftover.name, numbers=leftover.kind in _NUMBERED)
    # A session's pid says nothing about the next run's.
    place = "session" if leftover.kind == "idle_in_transaction" else place
    return Finding("leaks", leftover.kind, place or leftover.kind, leftover.test)


def _was_looked_for(entry: Finding, reports: Sequence[LeakReport]) -> bool:
    if entry.kind == ROWS:
        return not any(
            f"{stable(one.schema)}.{one.table}" == entry.place for report in reports for one in report.skipped
        )
    return all(
        entry.kind in report.kinds_checked and entry.kind not in {one.kind for one in report.unchecked}
        for report in reports
    )
