"""What a run does after its command without its recording: the check for leaks, JUnit files, documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.identity.known_tests import read_test_list
from pgwatch_tests.junit.report_files import given_files
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
        note=f"the baseline was taken {first.late_s:.1f} s after the command began, when no session had come "
        "that was still there: what one left that had come and gone by then counts as older",
    )


def checker(
    settings: Settings,
    before: Before,
    *,
    any_rows: bool,
    fail_on: FailOn,
    logs: Path | None,
    reports: Iterable[Path] = (),
) -> LeakChecker:
    """Returns the check for leaks that a run makes; JUnit `reports` name the tests of hashes."""
    since = None if before.baseline is None else Since(before.baseline, any_rows)
    tests: list[str] = []
    for report in reports:
        with suppress(ConfigurationError):  # torn: nobody's hash is known by it
            tests += read_test_list(report)
    return LeakChecker(settings, since, tuple(fail_on.leaks.kinds), logs, tests)


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


def junit_files(globs: Sequence[str], since: datetime) -> tuple[str, ...]:
    """Returns the files of these globs, files or directories that were written since then.

    Their paths are relative to the working directory if they are below it.
    """
    given, _ = given_files(map(Path, globs))
    here = Path.cwd()
    found: dict[str, None] = {}
    for one in given:
        path = one.path
        with suppress(OSError):
            if path.is_file() and path.stat().st_mtime >= since.timestamp() - 1:
                found[str(path.relative_to(here) if path.is_relative_to(here) else path)] = None
    return tuple(found)
