"""Sweeps, and runs of the schedule's jobs, as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.reports.openmetrics.families import Labels, gauge, gauge_of, seconds_since_epoch, text
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
            gauge_of(
                "sweep_planned_rows",
                "Rows that the sweep was to delete; of a dry run that it would.",
                places,
                lambda one: one.planned_rows,
            ),
            gauge_of(
                "sweep_deleted_rows", "Rows that the sweep deleted.", places, lambda one: one.deleted_rows
            ),
            gauge(
                "sweep_kept_rows",
                "Rows that stay, by the reason.",
                (sample for place, one in places for sample in _kept(place, one)),
            ),
            gauge(
                "sweep_removed",
                "What went besides rows, by kind; of a dry run what would.",
                (sample for place, one in places for sample in _removed(place, one)),
            ),
            gauge_of(
                "sweep_dry_run", "1 if nothing was to be changed, else 0.", places, lambda one: one.dry_run
            ),
            gauge_of(
                "sweep_complete",
                "1 if nothing stays but what a later sweep removes, else 0.",
                places,
                lambda one: one.complete,
            ),
            gauge(
                "sweep_reached",
                "1 if the database, or of a server all that were asked for, could be swept at all, else 0.",
                (
                    *((place, 1) for place, _ in places),
                    *(({"server": one.server, "database": one.database}, 0) for one in not_swept),
                ),
            ),
            gauge_of(
                "sweep_longest_transaction_seconds",
                "The longest transaction of the sweep.",
                places,
                lambda one: one.longest_transaction_s,
            ),
            gauge_of(
                "sweep_duration_seconds", "How long the sweep took.", places, lambda one: one.duration_s
            ),
            gauge_of(
                "sweep_timestamp_seconds",
                "When the sweep began, since 1970.",
                places,
                lambda one: seconds_since_epoch(one.started_at),
            ),
        )
    )


def job_document(entries: Sequence[HistoryEntry]) -> str:
    """One run of a job, per database: whether it went through, what it deleted or counted, when.

    The label isn't called `job`: Prometheus has one of that name for what it scrapes.
    """
    places: list[tuple[Labels, HistoryEntry]] = [
        ({"job_name": one.job, "server": one.server, "database": one.database}, one) for one in entries
    ]
    sweeps = [(place, one) for place, one in places if one.action != "leaks"]
    checks = [(place, one) for place, one in places if one.leaked_rows is not None]
    return text(
        (
            gauge_of(
                "job_success", "1 if the job went through, else 0.", places, lambda one: one.result == "done"
            ),
            gauge_of(
                "job_planned_rows",
                "Rows that the job was to delete; of a dry run that it would.",
                sweeps,
                lambda one: one.planned_rows,
            ),
            gauge_of("job_deleted_rows", "Rows that the job deleted.", sweeps, lambda one: one.deleted_rows),
            gauge_of("job_kept_rows", "Rows that stay.", sweeps, lambda one: one.kept_rows),
            gauge_of(
                "job_leaked_rows",
                "Leaked rows that the job counted.",
                checks,
                lambda one: one.leaked_rows or 0,
            ),
            gauge_of(
                "job_leftovers", "What is left over besides rows.", checks, lambda one: one.leftovers or 0
            ),
            gauge_of("job_duration_seconds", "How long the job took.", places, lambda one: one.duration_s),
            gauge_of(
                "job_timestamp_seconds",
                "When the job began, since 1970.",
                places,
                lambda one: seconds_since_epoch(one.started_at),
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
