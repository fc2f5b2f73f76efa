from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

import click
import pytest

from pgwatch_tests.cli import options
from pgwatch_tests.cli.runs import progress as progress_module
from pgwatch_tests.cli.runs.progress import Progress
from tests.waiting import wait_until

HIDE_CURSOR, SHOW_CURSOR, ERASE_LINE = "\x1b[?25l", "\x1b[?25h", "\x1b[2K"


@pytest.fixture(autouse=True)
def quick_machine() -> None:
    """These tests have a clock."""


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


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """stderr is taken for a terminal of 80 columns by 24 lines, and a bar is drawn at once."""
    monkeypatch.setattr(progress_module, "_can_redraw", lambda: True)
    monkeypatch.setattr(progress_module, "_QUIET_S", 0.0)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)


def lines_in(written: str) -> list[str]:
    """What stood on the line of the bar, one time after the other, without colours and moves."""
    return [line.rstrip() for line in re.split(r"[\r\n]+", click.unstyle(written)) if line.strip()]


@pytest.mark.usefixtures("terminal")
def test_a_phase_without_a_number_has_a_line_that_the_bar_replaces(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock, phase = Clock(), "reading marked rows"
    with Progress(
        "", lambda done, total: "", note=lambda: "1,200 rows", phase=lambda: phase, clock=clock
    ) as progress:
        progress.tick()
        clock.now_s += 2
        progress.tick()
        phase = "planning"
        clock.now_s += 1
        progress.show(10, 40)
        phase = "deleting"
        clock.now_s += 1
        progress.show(20, 40)
        written = capsys.readouterr().err

    lines = lines_in(written)
    assert [line.split("  ")[0] for line in lines] == [
        "reading marked rows, 0.0 s so far",
        "reading marked rows, 2.0 s so far",
        "planning",
        "deleting",
    ]
    assert [line.rsplit("  ", 2)[1:] for line in lines[2:]] == [["25%", "1,200 rows"], ["50%", "1,200 rows"]]
    assert "\n" not in written, "all of it is one line of the screen"


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_bar_and_its_words_stay_on_one_line_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    clock = Clock()

    with Progress(
        "sweeping", lambda done, total: "", lambda: 0.1, lambda: "900,000 rows, 10,000 rows/s", clock=clock
    ) as progress:
        for done in (1, 30_002, 300_022):
            clock.now_s += 23.0
            progress.show(done, 300_023)
        lines = lines_in(capsys.readouterr().err)

    assert len(lines) == 3
    assert max(map(len, lines)) < columns
    assert all(line.endswith("left" if columns >= 80 else "…") for line in lines)
    assert lines[1].startswith("sweeping  ")
    assert "9%  900,000 rows" in lines[1]


@pytest.mark.usefixtures("terminal")
def test_a_long_name_leaves_room_for_the_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    with Progress("", lambda done, total: "", phase=lambda: f"deleting in test_{'x' * 60}") as progress:
        progress.show(1, 2)
        (line,) = lines_in(capsys.readouterr().err)

    assert len(line) < 40
    assert line.startswith("deleting in test_x")
    assert line.endswith("  1/2")


@pytest.mark.usefixtures("terminal")
def test_the_position_beside_a_bar_has_separators(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("counting", lambda done, total: "") as progress:
        progress.show(1234, 56_789)
        (line,) = lines_in(capsys.readouterr().err)

    assert line.startswith("counting  ")
    assert line.endswith("  1,234/56,789")


@pytest.mark.usefixtures("terminal")
def test_names_are_plain_text_without_markup_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("", lambda done, total: "", phase=lambda: "in [red]a:boom:\x1b[2J[/]") as progress:
        progress.show(1, 2)
        (line,) = lines_in(capsys.readouterr().err)

    assert line.startswith("in [red]a:boom:␛[2J[/]  ")


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_nothing_stays_on_the_screen_and_the_cursor_is_back(
    capsys: pytest.CaptureFixture[str], error: type[BaseException] | None
) -> None:
    with suppress(KeyboardInterrupt), Progress("counting", lambda done, total: "") as progress:
        progress.show(1, 2)
        if error is not None:
            raise error

    written = capsys.readouterr().err
    assert written.endswith(ERASE_LINE), repr(written)
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)


@pytest.mark.usefixtures("terminal")
def test_a_remark_stands_above_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("sweeping", lambda done, total: "") as progress:
        progress.show(1, 2)
        options.narrate("stopping after this batch")
        bar, remark, bar_again = lines_in(capsys.readouterr().err)

    assert remark == "pgwatch-tests: stopping after this batch"
    assert bar == bar_again
    assert bar.endswith("  1/2")


@pytest.mark.usefixtures("terminal")
def test_without_colour_nothing_is_coloured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    with Progress("counting", lambda done, total: "") as progress:
        progress.show(1, 2)

    assert not re.search(r"\x1b\[[0-9;]*[34][0-9]", capsys.readouterr().err)


def test_a_terminal_that_moves_no_cursor_gets_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_module, "_QUIET_S", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")

    with Progress("counting", lambda done, total: f"{done} of {total}") as progress:
        progress.show(1, 2)

    assert capsys.readouterr().err == "pgwatch-tests: 1 of 2\n"
