"""The results directory: `run.json` there and back, what is removed before another run, and who holds it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from pgwatch_tests.errors import RecordingError
from pgwatch_tests.record.plugin_findings import PluginFinding
from pgwatch_tests.record.results import FILE_NAMES, ResultsDirectory, RunFinding, RunRecord
from pgwatch_tests.record.run_summary import Hang, RunFacts

_BEGAN = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
_RECORD = RunRecord(
    RunFacts("1a2b3c4d", "unit", ("pytest", "-n", "4"), _BEGAN, _BEGAN, 1, 0, junit_files=("junit.xml",)),
    verdict="findings",
    fail_on=("rows", "blocked=2s"),
    findings=(RunFinding("rows", "3 rows"),),
    hangs=(Hang(_BEGAN, 30.0, "tree"),),
    not_checked=("the server wasn't there",),
    files={"leaks": "leaks.json"},
    plugin_findings=(PluginFinding("rows", "a.py::b", True, "left 1 row", tables=("public.a",), rows=1),),
    versions={"python": "3.11.2"},
)


def test_run_json_comes_back_as_it_was_written(tmp_path: Path) -> None:
    results = ResultsDirectory(tmp_path)
    results.write(_RECORD)
    assert results.read() == _RECORD
    content = json.loads(results.index.read_text())
    assert (content["schema"], content["run"], content["exit_code"]) == ("pgwatch-tests.run/1", "1a2b3c4d", 1)
    assert content["began"] == "2026-01-02T03:04:05.000678Z"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    # What a newer version adds, and what an older one hadn't, keeps nobody from reading the rest.
    del content["versions"], content["junit_files"], content["plugin_findings"]
    results.index.write_text(json.dumps({**content, "added_later": 1}))
    assert results.read().facts.command == ("pytest", "-n", "4")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "isn't the index of a run"),
        ('{"schema": "pgwatch-tests.leaks/1"}', "it is a 'pgwatch-tests.leaks/1' document"),
        ('{"schema": "pgwatch-tests.run/1"}', "is damaged"),
        ('{"schema": "pgwatch-tests.run/1", "run": "1", "began": 3}', "is damaged"),
    ],
)
def test_what_is_no_run_is_refused_in_a_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecordingError, match=words):
        ResultsDirectory(tmp_path).read()
    # A damaged one is a run of ours all the same, and may be replaced.
    assert ResultsDirectory(tmp_path).is_of_earlier_run() == ("run/1" in text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("began", datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))).isoformat()),
        ("ended", datetime.min.replace(tzinfo=timezone(timedelta(hours=14))).isoformat()),
        ("exit_code", 10**30),
        ("attempt", 10**30),
    ],
)
def test_values_that_no_run_has_are_damage(name: str, value: object, tmp_path: Path) -> None:
    results = ResultsDirectory(tmp_path)
    results.write(_RECORD)
    content = json.loads(results.index.read_text())
    results.index.write_text(json.dumps({**content, name: value}))
    with pytest.raises(RecordingError, match="is damaged"):
        results.read()


def test_only_files_of_ours_are_removed_before_another_run(tmp_path: Path) -> None:
    results = ResultsDirectory(tmp_path)
    assert not results.has_files
    results.write(_RECORD)
    results.logs.mkdir()
    ours = [*FILE_NAMES.values(), "recording.pgwatch-wal", "logs/1-2-3.jsonl", "logs/s-gw0-1.journal"]
    others = ["notes.txt", "junit-of-vitest.xml", "logs/mine.txt"]
    for name in (*ours, *others):
        (tmp_path / name).touch()
    assert results.has_files
    results.clear()
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*others}


def test_a_directory_is_one_runs_at_a_time(tmp_path: Path) -> None:
    first, second = ResultsDirectory(tmp_path), ResultsDirectory(tmp_path)
    with first.held() as held:
        assert held
        assert second.is_in_use
    assert not second.is_in_use
    assert not ResultsDirectory(tmp_path / "nowhere").is_in_use
