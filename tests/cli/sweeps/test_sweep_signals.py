"""`pgwatch-tests sweep` while it is at work: signals, and what progress tells."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace

import pytest

from pgwatch_tests.cli import options
from pgwatch_tests.cli.runs import progress as progress_module
from pgwatch_tests.sweep.model import SweepProgress
from tests.cli.sweeps.calls import history, sweep
from tests.sweep.plan.fakes import Sweeps
from tests.sweep.reports import NOTHING, ROWS
from tests.waiting import PATIENCE_S, wait_until


@pytest.mark.parametrize(
    ("number", "code", "again"),
    [(signal.SIGINT, 130, "Ctrl-C again"), (signal.SIGTERM, 143, "a second signal")],
)
def test_a_signal_ends_it_after_its_batch(
    sweeps: Sweeps, capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int, again: str
) -> None:
    sweeps.waits = True
    sweeps.default = replace(NOTHING, planned=ROWS, deleted=ROWS[:1])

    def tell() -> None:
        wait_until(lambda: sweeps.made and sweeps.made[0].running.is_set())
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    thread = threading.Thread(target=tell)
    thread.start()
    result = sweep("--yes")
    thread.join()

    assert result == code
    assert signal.getsignal(number) == before
    out, err = capsys.readouterr()
    assert "3 rows of 1 table removed" in out
    assert "interrupted before it was done" in out
    assert err == f"pgwatch-tests: stopping after this batch; {again} stops now\n"
    (entry,) = history(capsys)
    assert (entry["result"], entry["deleted"]) == ("interrupted", 3)


def test_a_second_signal_ends_it_at_once(sweeps: Sweeps, capsys: pytest.CaptureFixture[str]) -> None:
    sweeps.endless_batch = True

    def tell() -> None:
        wait_until(lambda: sweeps.made and sweeps.made[0].running.is_set())
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(sweeps.made[0].stopped.is_set)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=tell)
    thread.start()
    result = sweep("--yes")
    thread.join()

    assert result == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "pgwatch-tests: interrupted: the sweep was cancelled"
    (entry,) = history(capsys)
    assert entry["result"] == "interrupted"


def test_progress_tells_rows_and_rate(
    sweeps: Sweeps, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "_QUIET_S", 0.0)
    monkeypatch.setattr(progress_module, "_LINE_EVERY_S", 0.0)
    sweeps.progress = (SweepProgress(10, 40, 1200, 0.25),)
    sweeps.waits = True
    drawn = threading.Event()

    def tell() -> None:
        drawn.wait(PATIENCE_S)
        sweeps.made[0].stop()

    tell_person = options.narrate

    def narrate(line: str) -> None:
        tell_person(line)
        drawn.set()

    monkeypatch.setattr(options, "narrate", narrate)
    thread = threading.Thread(target=tell)
    thread.start()
    assert sweep("--yes") == 0
    thread.join()

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("pgwatch-tests: deleting: 10 of 40 clusters of rows, 1,200 rows")
