"""The gate on sweeps: fails if something stays that no later sweep removes by itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pgwatch_tests.errors import Verdict
from pgwatch_tests.sweep.model import WAITING, KeptReason, SweepReport


def verdict(reports: Iterable[SweepReport], all_reached: bool = True) -> Verdict:
    """The verdict on one database, or on several together; findings win over what couldn't be checked.

    `all_reached` is false if there are databases that weren't swept at all.
    """
    reports = tuple(reports)
    stays = {reason for report in reports for reason in _reasons(report)} - WAITING
    if stays - {"not_checked"}:
        return "findings"
    if stays or not all_reached or any(report.not_checked or report.error for report in reports):
        return "incomplete"
    return "clean"


def _reasons(report: SweepReport) -> set[KeptReason]:
    orphans = {
        orphan.reason for orphan in report.orphans if orphan.reason is not None and not orphan.may_stay
    }
    return {kept.reason for kept in report.kept} | orphans
