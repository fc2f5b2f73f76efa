from __future__ import annotations

from dataclasses import dataclass

import click
import pytest

from pgwatch_tests.cli import progress as progress_module
from pgwatch_tests.cli.progress import Progress
from tests.waiting import wait_until


@dataclass
class Clock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_lines_tell_the_time_left_by_the_work_not_by_the_number(capsys: pytest.CaptureFixture[str]) -> None:
    clock, share = Clock(), 0.0
    progress = Progress("counting", lambda done, total: f"{done} of {total}", lambda: share, clock=clock)

    progress.show(0, 10)
    assert capsys.readouterr().err == "", "what takes no second needs no words"
    clock.now_s += 1
    progress.tick()
    clock.now_s += 29
    share = 0.75
    progress.show(1, 10)
    clock.now_s += 5
    share = 1.0
    progress.show(10, 10)

    assert capsys.readouterr().err.splitlines() == [
        "pgwatch-tests: 0 of 10",
        "pgwatch-tests: 1 of 10, about 10 s left",
        "pgwatch-tests: 10 of 10",
    ]


def test_a_line_comes_every_five_seconds_though_nothing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    clock, phase = Clock(), "reading marked rows"
    progress = Progress(
        "", lambda done, total: f"{done} of {total} clusters", phase=lambda: phase, clock=clock
    )

    def pass_seconds(seconds: int) -> list[str]:
        for _ in range(seconds):
            clock.now_s += 1
            progress.tick()
        return capsys.readouterr().err.splitlines()

    assert pass_seconds(12) == [
        "pgwatch-tests: reading marked rows, 1.0 s so far",
        "pgwatch-tests: reading marked rows, 6.0 s so far",
        "pgwatch-tests: reading marked rows, 11 s so far",
    ]
    phase = "planning"
    progress.show(0, 40)
    progress.show(3, 40)
    assert pass_seconds(11) == [
        "pgwatch-tests: planning: 3 of 40 clusters",
        "pgwatch-tests: planning: 3 of 40 clusters",
    ]


def test_the_first_line_comes_from_a_thread_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_module, "_QUIET_S", 0.0)
    monkeypatch.setattr(progress_module, "_TICK_S", 0.01)
    told: list[str] = []
    monkeypatch.setattr("pgwatch_tests.cli.options.narrate", told.append)

    with Progress("", lambda done, total: "", phase=lambda: "reading marked rows"):
        wait_until(lambda: bool(told))

    assert told[0].startswith("reading marked rows, ")


def test_on_a_terminal_a_phase_without_a_number_has_a_line_that_the_bar_replaces(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(progress_module, "_columns", lambda: 80)
    clock, phase = Clock(), "reading marked rows"
    progress = Progress(
        "", lambda done, total: "", note=lambda: "1,200 rows", phase=lambda: phase, clock=clock
    )

    clock.now_s += 2
    progress.tick()
    phase = "planning"
    progress.show(10, 40)

    drawn = click.unstyle(capsys.readouterr().err).split("\r")
    assert [line.split("  ")[0] for line in drawn if line.strip()][:2] == [
        "reading marked rows, 2.0 s so far",
        "planning",
    ]
    assert " 25%" in drawn[-1]
    assert max(map(len, drawn)) < 80


def test_a_bar_goes_on_where_only_the_phase_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(progress_module, "_columns", lambda: 80)
    clock, phase = Clock(), "deleting"
    progress = Progress("", lambda done, total: "", note=lambda: "", phase=lambda: phase, clock=clock)

    clock.now_s += 2
    for done, words in ((10, "deleting"), (20, "planning"), (30, "deleting")):
        phase = words
        progress.show(done, 40)
    assert "\n" not in capsys.readouterr().err
    phase = "looking again"
    progress.show(0, 40)
    drawn = click.unstyle(capsys.readouterr().err)
    assert drawn.count("\n") == 1
    assert "looking again" in drawn.split("\n")[1]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_bar_and_its_words_stay_on_one_line_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setattr(progress_module, "_QUIET_S", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(progress_module, "_columns", lambda: columns)
    clock = Clock()

    with Progress(
        "sweeping", lambda done, total: "", lambda: 0.1, lambda: "900,000 rows, 10,000 rows/s", clock=clock
    ) as progress:
        clock.now_s += 23.0
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
        progress.show(1234, 56_789)

    drawn = click.unstyle(capsys.readouterr().err)
    assert "1,234/56,789" in drawn
    assert "56789" not in drawn
    assert max(len(line.rstrip()) for line in drawn.split("\r")) < 80
