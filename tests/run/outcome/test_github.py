"""What GitHub Actions shows of a run: a summary that isn't dropped for its size, and annotations."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgwatch_tests.record.results import RunFinding
from pgwatch_tests.reports.render.markdown_text import MOST_BYTES
from pgwatch_tests.run.outcome.github import annotation_lines, append_summary


@pytest.mark.parametrize("before", [0, 100, MOST_BYTES - 500, MOST_BYTES - 20, MOST_BYTES + 1])
def test_a_summary_never_grows_beyond_what_github_takes(tmp_path: Path, before: int) -> None:
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * before)
    markdown = "\n".join(f"| ä line {number} |" for number in range(100_000))
    assert append_summary({"GITHUB_STEP_SUMMARY": str(path)}, markdown) == (before <= MOST_BYTES - 500)
    written = path.read_bytes()
    assert len(written) <= max(before, MOST_BYTES)
    assert written.startswith(b"x" * before)
    if before <= MOST_BYTES - 500:
        assert written.decode().endswith("… cut short: the whole report is in the results.\n")
        assert written.decode().splitlines()[-4].endswith("|")


def test_annotations_are_one_line_each_and_few() -> None:
    findings = [RunFinding("rows", f"{number} rows\nof users: 100%") for number in range(30)]
    lines = annotation_lines(findings, ["no server"])
    assert lines[0] == "::error title=pgwatch-tests%3A rows::0 rows%0Aof users: 100%25"
    assert len(lines) == 11
    assert lines[-1] == "::warning title=pgwatch-tests%3A not checked::no server"
