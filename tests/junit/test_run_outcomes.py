"""Outcomes of a recorded run: its JUnit files are found where they are now; another run's are told."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgwatch_tests.junit.run_outcomes import with_outcomes
from pgwatch_tests.record.merging.merged import RecordedRun
from pgwatch_tests.record.run_summary import RunFacts

BEGAN = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)
FACTS = RunFacts(
    run="0a1b2c3d",
    shard="",
    command=("pytest",),
    began=BEGAN,
    ended=BEGAN + timedelta(minutes=5),
    exit_code=1,
    machine=platform.node(),
    junit_files=("reports/unit.xml",),
)
GONE = "reports/unit.xml, which told how tests ended, isn't there any more."
ANOTHER = "reports/unit.xml, which told how tests ended, is of another run by now."


def write_report(path: Path, written_s: float = 60.0, suite_s: float | None = None) -> None:
    """A report with a failed test; its suite says when it began only with `suite_s`, seconds after BEGAN."""
    began = "" if suite_s is None else f' timestamp="{(BEGAN + timedelta(seconds=suite_s)).isoformat()}"'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<testsuite name="pytest" tests="1"{began}>'
        '<testcase classname="tests.test_a" name="test_b" time="1">'
        '<failure message="no"/></testcase></testsuite>'
    )
    os.utime(path, times=(BEGAN.timestamp() + written_s,) * 2)


@pytest.mark.parametrize(
    "place",
    [
        "reports/unit.xml",  # where the command wrote it
        "pgwatch-results/reports/unit.xml",  # brought along with its directory
        "pgwatch-results/unit/unit.xml",  # and without
    ],
)
def test_a_report_is_found_from_where_the_results_are(tmp_path: Path, place: str) -> None:
    results = tmp_path / "pgwatch-results" / "unit"
    results.mkdir(parents=True)
    write_report(tmp_path / place)
    run = with_outcomes(RecordedRun(str(results), facts=FACTS))
    assert [(one.test, one.outcome) for one in run.outcomes] == [("tests/test_a.py::test_b", "failed")]
    assert run.not_checked == ()


@pytest.mark.parametrize(
    ("written_s", "suite_s", "machine", "told"),
    [
        (60.0, None, platform.node(), ""),
        (-3600.0, None, platform.node(), ANOTHER),
        (3600.0, None, platform.node(), ANOTHER),
        # Brought from elsewhere, it is as new as that.
        (3600.0, None, "runner-7", ""),
        # Its suites say it themselves.
        (3600.0, 30.0, platform.node(), ""),
        (3600.0, 3000.0, "runner-7", ANOTHER),
    ],
)
def test_a_report_of_another_run_is_told(
    tmp_path: Path, written_s: float, suite_s: float | None, machine: str, told: str
) -> None:
    (tmp_path / "pgwatch-results").mkdir()
    write_report(tmp_path / "reports/unit.xml", written_s, suite_s)
    facts = replace(FACTS, machine=machine)
    run = with_outcomes(RecordedRun(str(tmp_path / "pgwatch-results"), facts=facts))
    assert (len(run.outcomes), run.not_checked) == ((0, (told,)) if told else (1, ()))


def test_a_report_that_is_gone_and_one_that_is_torn_are_told(tmp_path: Path) -> None:
    results = tmp_path / "pgwatch-results"
    results.mkdir()
    recorded = RecordedRun(str(results), facts=FACTS)
    assert with_outcomes(recorded).not_checked == (GONE,)
    # What `run` itself writes there isn't the suite's.
    write_report(results / "junit.xml")
    facts = replace(FACTS, junit_files=("junit.xml",))
    assert not with_outcomes(RecordedRun(str(results), facts=facts)).outcomes
    write_report(tmp_path / "reports/unit.xml")
    whole = (tmp_path / "reports/unit.xml").read_text()
    (tmp_path / "reports/unit.xml").write_text(whole.removesuffix("</testsuite>"))
    os.utime(tmp_path / "reports/unit.xml", times=(BEGAN.timestamp() + 60,) * 2)
    torn = with_outcomes(recorded)
    assert len(torn.outcomes) == 1
    assert "unit.xml isn't read as a whole" in torn.not_checked[0]
