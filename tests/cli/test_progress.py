from __future__ import annotations

import click
import pytest

from pgwatch_tests.cli import progress as progress_module
from pgwatch_tests.cli.progress import Progress
from tests.waiting import wait_until


def test_lines_tell_the_time_left_by_the_work_not_by_the_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_module, "_QUIET_S", 0.0)
    monkeypatch.setattr(progress_module, "_LINE_EVERY_S", 0.0)
    share = 0.0

    with Progress("counting", lambda done, total: f"{done} of {total}", lambda: share) as progress:
        wait_until(lambda: progress._shown)
        progress.show(0, 10)
        # As if it had begun 30 s ago.
        progress._began -= 30.0
        share = 0.75
        progress.show(1, 10)
        share = 1.0
        progress.show(10, 10)

    assert capsys.readouterr().err.splitlines() == [
        "pgwatch-tests: 0 of 10",
        "pgwatch-tests: 1 of 10, about 10 s left",
        "pgwatch-tests: 10 of 10",
    ]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_bar_and_its_words_stay_on_one_line_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setattr(progress_module, "_QUIET_S", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(progress_module, "_columns", lambda: columns)

    with Progress(
        "sweeping", lambda done, total: "", lambda: 0.1, lambda: "900,000 rows, 10,000 rows/s"
    ) as progress:
        wait_until(lambda: progress._shown)
        progress._began -= 23.0
        for done in (1, 30_002, 300_022):
            progress.show(done, 300_023)

    drawn = [line.rstrip() for line in click.unstyle(capsys.readouterr().err).split("\r") if "[" in line]
    assert len(drawn) >= 3
    assert max(map(len, drawn)) < columns
    if columns >= 80:
        assert all("900,000 rows, 10,000 rows/s, about 3 min" in line and "left" in line for line in drawn)


def test_the_position_beside_a_bar_has_separators(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_module, "_QUIET_S", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(progress_module, "_columns", lambda: 80)

    with Progress("counting", lambda done, total: "") as progress:
        wait_until(lambda: progress._shown)
        progress.show(1234, 56_789)

    drawn = click.unstyle(capsys.readouterr().err)
    assert "1,234/56,789" in drawn
    assert "56789" not in drawn
    assert max(len(line.rstrip()) for line in drawn.split("\r")) < 80
