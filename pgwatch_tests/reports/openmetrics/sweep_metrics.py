"""Sweeps, and runs of the schedule's jobs, as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.reports.openmetrics.families import Family, Labels, seconds_since_epoch, text
from pgwatch_tests.reports.sweeps import sweep_words
from pgwatch_tests.sweep.model import SweepReport, SweepsOfDatabases


def document(sweeps: SweepReport | SweepsOfDatabases) -> str:
    """What went, or would go, and what stays and why; of each database whether, when and how it was swept.

    What wasn't swept at all has `pgwatch_tests_sweep_reached` 0 and nothing else.
    """
    reports, not_swept = sweep_words.by_database(sweeps)
    places: list[tuple[Labels, SweepReport]] = [
        ({"server": one.server, "database": one.database}, one) for one in reports
    ]
    return text(
        (
            Family(
                "sweep_planned_rows",
                "Rows that the sweep was to delete; of a dry run that it would.",
                tuple((place, one.planned_rows) for place, one in places),
            ),
            Family(
                "sweep_deleted_rows",
                "Rows that the sweep deleted.",
                tuple((place, one.deleted_rows) for place, one in places),
            ),
            Family(
                "sweep_kept_rows",
                "Rows that stay, by the reason.",
                tuple(sample for place, one in places for sample in _kept(place, one)),
            ),
            Family(
                "sweep_removed",
                "What went besides rows, by kind; of a dry run what would.",
                tuple(sample for place, one in places for sample in _removed(place, one)),
            ),
            Family(
                "sweep_dry_run",
                "1 if nothing was to be changed, else 0.",
                tuple((place, one.dry_run) for place, one in places),
            ),
            Family(
                "sweep_complete",
                "1 if nothing stays but what a later sweep removes, else 0.",
                tuple((place, one.complete) for place, one in places),
            ),
            Family(
                "sweep_reached",
                "1 if the database, or of a server all that were asked for, could be swept at all, else 0.",
                (
                    *((place, 1) for place, _ in places),
                    *(({"server": one.server, "database": one.database}, 0) for one in not_swept),
                ),
            ),
            Family(
                "sweep_longest_transaction_seconds",
                "The longest transaction of the sweep.",
                tuple((place, one.longest_transaction_s) for place, one in places),
                "seconds",
            ),
            Family(
                "sweep_duration_seconds",
                "How long the sweep took.",
                tuple((place, one.duration_s) for place, one in places),
                "seconds",
            ),
            Family(
                "sweep_timestamp_seconds",
                "When the sweep began, since 1970.",
                tuple((place, seconds_since_epoch(one.started_at)) for place, one in places),
                "seconds",
            ),
        )
    )


def job_document(entries: Sequence[HistoryEntry]) -> str:
    """One run of a job, per database: whether it went through, what it deleted or counted, when."""
    places: list[tuple[Labels, HistoryEntry]] = [
        ({"job": one.job, "server": one.server, "database": one.database}, one) for one in entries
    ]
    sweeps = [(place, one) for place, one in places if one.action != "leaks"]
    checks = [(place, one) for place, one in places if one.leaked_rows is not None]
    return text(
        (
            Family(
                "job_success",
                "1 if the job went through, else 0.",
                tuple((place, one.result == "done") for place, one in places),
            ),
            Family(
                "job_planned_rows",
                "Rows that the job was to delete; of a dry run that it would.",
                tuple((place, one.planned_rows) for place, one in sweeps),
            ),
            Family(
                "job_deleted_rows",
                "Rows that the job deleted.",
                tuple((place, one.deleted_rows) for place, one in sweeps),
            ),
            Family(
                "job_kept_rows",
                "Rows that stay.",
                tuple((place, one.kept_rows) for place, one in sweeps),
            ),
            Family(
                "job_leaked_rows",
                "Leaked rows that the job counted.",
                tuple((place, one.leaked_rows or 0) for place, one in checks),
            ),
            Family(
                "job_leftovers",
                "What is left over besides rows.",
                tuple((place, one.leftovers or 0) for place, one in checks),
            ),
            Family(
                "job_duration_seconds",
                "How long the job took.",
                tuple((place, one.duration_s) for place, one in places),
                "seconds",
            ),
            Family(
                "job_timestamp_seconds",
                "When the job began, since 1970.",
                tuple((place, seconds_since_epoch(one.started_at)) for place, one in places),
                "seconds",
            ),
        )
    )


def _kept(place: Labels, report: SweepReport) -> Iterator[tuple[Labels, float]]:
    for reason, rows in sweep_words.reasons(report.kept, ()).items():
        yield {**place, "reason": reason}, rows


def _removed(place: Labels, report: SweepReport) -> Iterator[tuple[Labels, float]]:
    kinds = Counter(orphan.kind for orphan in report.orphans if orphan.removed)
    for kind in report.kinds:
        if kind != "rows":
            yield {**place, "kind": kind}, kinds[kind]
