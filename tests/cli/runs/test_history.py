"""`pgwatch-tests history` and `report --store` as people run them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pgwatch_tests.record.results import RunRecord
from tests.cli.running import pgwatch
from tests.record.made_events import facts
from tests.record.recordings import make_recording
from tests.record.test_run_files import results


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., CompletedProcess[str]]:
    """Runs a command whose history is a file; the recordings to be put there are old."""
    extra = {"PGWATCH_HISTORY": str(tmp_path / "history.sqlite3"), "PGWATCH_KEEP_RUNS": "36500d"}
    return lambda *arguments: pgwatch(tmp_path, *arguments, extra=extra)


def test_recorded_runs_are_put_on_record_and_told(
    run: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    recording = make_recording(tmp_path / "whole.pgwatch")
    for number in (1, 2):
        one = replace(facts("unit", run=f"{number:08x}"), commit=str(number) * 40, repository="acme/shop")
        results(tmp_path / "artifacts" / str(number), RunRecord(one), recording)
    assert run("history").stdout.startswith("No run is on record yet.")

    done = run("report", "artifacts", "--store", "-o", "report.txt")
    where = f"in {tmp_path / 'history.sqlite3'}"
    assert done.returncode == 0
    assert done.stderr.splitlines() == [f"pgwatch-tests: 2 runs on record {where}: 2 new"]
    done = run("report", "artifacts", "--store", "-o", "report.txt")
    assert done.stderr == f"pgwatch-tests: 2 runs on record {where}: 2 known before, replaced\n"

    listed = run("history").stdout
    assert listed.count("passed") == 2
    assert "00000002 unit" in listed
    trend = run("history", "--trend", "--since", "36500d", "--format", "json")
    document = json.loads(trend.stdout)
    assert (document["builds"], document["pairs"][0]["builds"]) == (2, 2)
    assert (
        json.loads(run("report", "--trend", "--since", "36500d", "--format", "json").stdout)["pairs"]
        == document["pairs"]
    )
    test = document["pairs"][0]["waiter"]
    told = run("history", "--test", test.rpartition("::")[2], "--since", "36500d").stdout
    assert "Last events" in told
    assert "was blocked" in told
    assert run("history", "--trend").stdout.startswith("No run since ")
    tidied = run("history", "--tidy")
    assert (tidied.returncode, tidied.stdout) == (0, "")
    assert tidied.stderr == f"pgwatch-tests: {tmp_path / 'history.sqlite3'}: 0 names removed\n"
    assert run("history", "--tidy", "--trend").returncode == 2
    assert json.loads(run("history", "--format", "json").stdout)["schema"] == "pgwatch-tests.history/1"


def test_a_history_that_cant_be_written_changes_no_report(
    run: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    results(tmp_path / "r", RunRecord(facts()), make_recording(tmp_path / "whole.pgwatch"))
    (tmp_path / "history.sqlite3").mkdir()
    done = run("report", "r", "--store", "--fail-on", "deadlock", "-o", "report.txt")
    assert done.returncode == 1
    assert "not put on record: the history in" in done.stderr
    assert (tmp_path / "report.txt").exists()
    assert run("history").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("history", "--branch", "main"), "--branch needs --trend or --test"),
        (("report", "--since", "1d"), "--since needs --trend"),
        (("report", "x", "--trend"), "--trend reads the history"),
        (("history", "--since", "soon"), "isn't a duration"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Callable[..., CompletedProcess[str]], arguments: tuple[str, ...], told: str
) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
