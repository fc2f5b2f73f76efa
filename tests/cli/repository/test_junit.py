"""`pgwatch-tests junit` as people run it: inputs, formats, exit codes."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from pgwatch_tests.identity.application_name import digest
from pgwatch_tests.identity.junit_reader import read_cases
from pgwatch_tests.junit.verdicts import judged_tests
from pgwatch_tests.record import run_files
from pgwatch_tests.record.results import ResultsDirectory, RunRecord
from tests.cli.running import held_by_file_modes, pgwatch
from tests.record.made_events import facts
from tests.record.recordings import make_recording

REPORTS = Path(__file__).parents[2] / "junit" / "reports"
PASSED = '<testsuite name="a"><testcase classname="a.test.ts" name="one" time="1"/></testsuite>'
FAILED = PASSED.replace("/></testsuite>", '><failure message="no"/></testcase></testsuite>')


def shard(home: Path, name: str, content: str | bytes = PASSED) -> Path:
    path = home / name / "junit.xml"
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_exit_codes(tmp_path: Path) -> None:
    shard(tmp_path, "good")
    shard(tmp_path, "bad", FAILED)
    shard(tmp_path, "html", "<html><body>502</body></html>")
    shard(tmp_path, "empty", "")
    for arguments, plain, gate in (
        (("good/junit.xml",), 0, 0),
        (("bad/junit.xml",), 0, 1),
        (("html/junit.xml",), 0, 4),
        (("html/*.xml", "good/junit.xml"), 0, 4),
        (("empty/junit.xml",), 0, 1),
        (("html/junit.xml", "bad/junit.xml"), 0, 1),
        (("good/junit.xml", "--expect", "2"), 0, 1),
        (("good/junit.xml", "--shards", "good,e2e:2"), 0, 1),
        (("none.xml",), 2, 2),
        (("none/*.xml",), 2, 2),
        (("good/junit.xml", "--shards", "a:0"), 2, 2),
        (("good/junit.xml", "--shards", "a:2,a-1"), 2, 2),
    ):
        assert pgwatch(tmp_path, "junit", *arguments).returncode == plain, arguments
        assert pgwatch(tmp_path, "junit", *arguments, "--fail").returncode == gate, arguments


def test_what_matches_nothing_is_told_once(tmp_path: Path) -> None:
    shard(tmp_path, "good")
    for files in (("none/*.xml",), ("none/*.xml", "good/junit.xml")):
        assert pgwatch(tmp_path, "junit", *files).stderr.count("no file matches none/*.xml") == 1, files
    (tmp_path / "bare").mkdir()
    done = pgwatch(tmp_path, "junit", "bare", "none.xml")
    assert done.returncode == 2
    assert "no JUnit file (*.xml) is in bare or below; there is no file none.xml" in done.stderr


def test_a_closed_directory_is_one_that_cannot_be_read(tmp_path: Path) -> None:
    with held_by_file_modes():
        shard(tmp_path, "closed")
        (tmp_path / "closed").chmod(0)
        try:
            paths = ("closed/*.xml", "closed/junit.xml", "closed", "*/junit.xml", ".")
            done = [pgwatch(tmp_path, "junit", path, "--fail") for path in paths]
        finally:
            (tmp_path / "closed").chmod(0o700)
    for path, one in zip(paths, done, strict=True):
        assert one.returncode == 4, path
        assert "closed can't be read: Permission denied" in one.stdout, path


def test_a_merged_document_has_the_same_verdicts(tmp_path: Path) -> None:
    for name in ("vitest4-zoo", "playwright-zoo", "pytest-out-n2", "surefire-booking"):
        shard(tmp_path, f"art/{name}", next(REPORTS.glob(f"{name}*.xml")).read_bytes())
    done = pgwatch(tmp_path, "junit", "art/*/junit.xml", "-o", "art/merged/junit.xml", "--format", "json")
    assert done.returncode == 2  # no such directory
    (tmp_path / "art" / "merged").mkdir()
    for _ in range(2):  # the output, which the pattern matches, is no input
        done = pgwatch(tmp_path, "junit", "art/*/junit.xml", "-o", "art/merged/junit.xml")
        assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(pgwatch(tmp_path, "junit", "art/*/junit.xml", "--format", "json").stdout)
    document = (tmp_path / "art" / "merged" / "junit.xml").read_bytes()
    assert len(ElementTree.fromstring(document).findall("testsuite")) == len(
        {(test["shard"], test["suite"], test["project"]) for test in told["tests"]}
    )
    again = judged_tests(read_cases(document).cases)
    assert sorted((one.case.name, one.verdict) for one in again) == sorted(
        (test["name"], test["verdict"]) for test in told["tests"]
    )


def test_an_index_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    shard(tmp_path, "a")
    index = tmp_path / "a" / "pgwatch-results" / "run.json"
    index.parent.mkdir()
    for content in ("", "{", "[" * 100_000, '{"schema": "pgwatch-tests.run/1", "attempt": "x"}'):
        index.write_text(content)
        for arguments in (("a/junit.xml",), ("a",), ("a/junit.xml", "--results", "a")):
            done = pgwatch(tmp_path, "junit", *arguments, "--fail")
            assert done.returncode == 4, (content[:9], arguments)
            assert "run.json can't be read" in done.stdout, (content[:9], arguments)
            assert "how that run ended isn't known" in done.stdout


def test_a_dash_is_stdout(tmp_path: Path) -> None:
    shard(tmp_path, "a", FAILED)
    done = pgwatch(tmp_path, "junit", "a/junit.xml", "-o", "-", "--fail")
    assert done.returncode == 1
    assert [case.get("name") for case in ElementTree.fromstring(done.stdout).iter("testcase")] == ["one"]
    assert done.stderr.startswith("1 of 1 test failed")
    done = pgwatch(tmp_path, "junit", "a/junit.xml", "-o", "-", "--format", "json")
    assert json.loads(done.stdout)["totals"]["failed"] == 1
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    path = shard(tmp_path, "a")
    done = pgwatch(tmp_path, "junit", "a/junit.xml", "-o", str(path))
    assert done.returncode == 2
    assert "is an input" in done.stderr
    assert path.read_text() == PASSED


def test_a_pipe_a_directory_and_what_is_in_it(tmp_path: Path) -> None:
    shard(tmp_path, "all/e2e-1")
    (tmp_path / "all" / "pom.xml").write_text("<project/>")
    ours = shard(tmp_path, "all/pgwatch-results", FAILED)
    ours.with_name("run.json").write_text("{}")
    reading, writing = os.pipe()
    os.write(writing, FAILED.encode())
    os.close(writing)
    try:
        done = pgwatch(tmp_path, "junit", "all", f"/dev/fd/{reading}", "--format", "json")
    finally:
        os.close(reading)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["totals"] == {
        "tests": 2,
        "passed": 1,
        "failed": 1,
        "errored": 0,
        "skipped": 0,
        "flaky": 0,
    }


def test_a_failure_has_what_its_runs_recording_knows(tmp_path: Path) -> None:
    results = ResultsDirectory(tmp_path / "art" / "unit-1" / "pgwatch-results")
    results.path.mkdir(parents=True)
    make_recording(results.recording)
    results.write(RunRecord(replace(facts("unit-1", exit_code=1), command_exit_code=1)))
    (recorded,), _ = run_files.read([results.path])
    waiter = recorded.waits[0].waiter
    module, _, name = waiter.test.partition("::")
    case = f'<testcase classname="{module.removesuffix(".py").replace("/", ".")}" name="{name}">'
    failure = '<failure message="timed out"/></testcase>'
    (tmp_path / "art" / "unit-1" / "junit.xml").write_text(
        f'<testsuites name="pytest tests"><testsuite name="pytest">{case}{failure}</testsuite></testsuites>'
    )
    told = json.loads(pgwatch(tmp_path, "junit", "art/*/junit.xml", "--format", "json").stdout)
    (test,) = told["tests"]
    assert (test["test"], test["hash"]) == (waiter.test, digest(waiter.test))
    assert [line for line in test["database"] if line.startswith("waited ")]
    assert told["shards"][0]["exit_code"] == 1


def test_an_old_run_beside_a_report_is_none_of_its(tmp_path: Path) -> None:
    results = ResultsDirectory(tmp_path / "pgwatch-results")
    results.path.mkdir()
    results.write(RunRecord(replace(facts("", exit_code=1), command_exit_code=1)))
    report = tmp_path / "junit.xml"
    for timestamp, kinds in (("2026-03-04T05:07:00Z", {"contradiction"}), ("2027-01-01T00:00:00Z", set())):
        report.write_text(PASSED.replace('name="a"', f'name="a" timestamp="{timestamp}"', 1))
        told = json.loads(pgwatch(tmp_path, "junit", "junit.xml", "--format", "json").stdout)
        assert {one["kind"] for one in told["findings"]} - {"exit_code_unknown"} == kinds


def test_a_killed_shard_that_left_no_report_is_found_by_its_results(tmp_path: Path) -> None:
    shard(tmp_path, "art/e2e-1")
    shard(tmp_path, "art/e2e-3")
    results = ResultsDirectory(tmp_path / "art" / "e2e-2" / "pgwatch-results" / "e2e-2")
    results.path.mkdir(parents=True)
    results.write(RunRecord(replace(facts("e2e-2", exit_code=137), command_exit_code=137, signal=9)))
    for arguments in (("art/*/junit.xml",), ("art",), ("art/e2e-1/junit.xml", "art/e2e-3/junit.xml")):
        done = pgwatch(tmp_path, "junit", *arguments, "--fail")
        assert done.returncode == 1
        assert "error: e2e-2: ended by signal 9; 0 tests reported" in done.stdout
    # One file says nothing of other shards: nobody has named their directory.
    assert pgwatch(tmp_path, "junit", "art/e2e-1/junit.xml", "--fail").returncode == 0
