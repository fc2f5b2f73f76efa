"""What a run does after its command without its recording: the check for leaks, JUnit files, documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pgwatch_tests.leaks.baseline.baseline import Baseline
from pgwatch_tests.leaks.baseline.comparison import Since
from pgwatch_tests.leaks.model import BaselineUse, LeakReport
from pgwatch_tests.record.results import ResultKind, ResultsDirectory
from pgwatch_tests.reports.leaks import leak_json
from pgwatch_tests.run.checks.fail_on import Evidence, FailOn, Judgement
from pgwatch_tests.run.checks.first_baseline import FirstBaseline
from pgwatch_tests.run.checks.leak_check import LeakCheck, LeakChecker
from pgwatch_tests.run.outcome import run_junit
from pgwatch_tests.settings.load import Settings


@dataclass(frozen=True, slots=True)
class Before:
    """The state that a check compares with; None: there is none, and `trouble` says why."""

    baseline: Baseline | None
    trouble: str = ""
    note: str = ""


def state_before(given: Baseline | None, first: FirstBaseline | None) -> Before:
    """Returns the baseline of `--since`, else the one that was taken beside the command's start."""
    if given is not None:
        return Before(given)
    if first is None:
        return Before(None, "it wasn't begun in time")
    if first.baseline is None:
        return Before(None, first.trouble or "it wasn't ready in time")
    if first.late_s is None:
        return Before(first.baseline)
    return Before(
        first.baseline,
        note=f"the baseline was taken {first.late_s:.1f} s after the command began, before any session of it "
        "was seen",
    )


def checker(
    settings: Settings, before: Before, *, any_rows: bool, fail_on: FailOn, logs: Path | None
) -> LeakChecker:
    """Returns the check for leaks that a run makes."""
    since = None if before.baseline is None else Since(before.baseline, any_rows)
    return LeakChecker(settings, since, tuple(fail_on.leaks.kinds), logs)


def with_note(check: LeakCheck, note: str) -> LeakReport | None:
    """Returns the report of a check, with a note on its baseline."""
    report = check.report
    if report is None or report.baseline is None or not note:
        return report
    use: BaselineUse = replace(report.baseline, notes=(*report.baseline.notes, note))
    return replace(report, baseline=use)


def write_documents(
    results: ResultsDirectory, fail_on: FailOn, known: Evidence, judgement: Judgement
) -> Iterator[ResultKind]:
    """Writes the documents that there is something to say in; yields their kinds. Raises OSError."""
    results.write_text(results.file("junit"), run_junit.document(fail_on, known, judgement))
    yield "junit"
    if known.leaks is not None:
        results.write_text(results.file("leaks"), leak_json.document(known.leaks))
        yield "leaks"


def junit_files(globs: Sequence[str], folder: Path, since: datetime) -> tuple[str, ...]:
    """Returns the files of these globs that were written since then, relative to the folder if below it."""
    found: dict[Path, None] = {}
    for pattern in globs:
        base, relative = (Path(Path(pattern).anchor), Path(pattern).relative_to(Path(pattern).anchor))
        start = folder if not pattern.startswith("/") else base
        with suppress(OSError, ValueError, NotImplementedError):
            for path in sorted(start.glob(str(relative))):
                with suppress(OSError):
                    if path.is_file() and path.stat().st_mtime >= since.timestamp() - 1:
                        found[path] = None
    return tuple(
        str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path) for path in found
    )
