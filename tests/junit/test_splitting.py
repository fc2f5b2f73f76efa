"""Files split into shards by time: all of them, each once, nearly evenly, and the same on each machine."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.junit.splitting import SplitRunner, plan_document, plan_split, read_plan
from tests.cli.running import pgwatch

RUNNERS: tuple[SplitRunner, ...] = ("vitest", "playwright")
FILES = [f"tests/area{number}/a{number}.test.ts" for number in range(40)]


@settings(max_examples=30)
@given(
    st.lists(st.text("ab/.", min_size=1, max_size=5), min_size=1, max_size=12),
    st.dictionaries(st.text("ab/.", min_size=1, max_size=5), st.floats(0, 100), max_size=6),
    st.integers(1, 5),
    st.sampled_from(RUNNERS),
)
def test_each_file_is_in_one_shard(
    files: list[str], times: dict[str, float], split: int, runner: SplitRunner
) -> None:
    plans = [plan_split(reversed(files), times, split, shard + 1, runner) for shard in range(split)]
    assert sorted(file for plan in plans for file in plan.files) == sorted(set(files))
    assert len({plan.digest for plan in plans}) == 1
    assert read_plan(plan_document(plans[0])) == plans[0]
    assert plan_split([*files, "new"], times, split, 1, "vitest").digest != plans[0].digest


def test_shards_take_nearly_the_same_time() -> None:
    worst = []
    for seed in range(20):
        drawn = random.Random(seed)
        times = {file: drawn.lognormvariate(1.0, 1.2) for file in FILES}
        plan = plan_split(FILES, times, 4, 1, "vitest")
        longest = max(plan_split(FILES, times, 4, shard, "vitest").expected_s for shard in range(1, 5))
        worst.append(longest / max(plan.ideal_s, max(times.values()) + 0.3))
    assert max(worst) < 1.05  # by hash it is 1.45


def test_a_name_that_begins_another_goes_with_it() -> None:
    files = ["a.test.ts", "a.test.tsx", "b.test.ts"]
    for shard in (1, 2):
        own = plan_split(files, {}, 2, shard, "vitest").files
        assert len(set(own) & set(files[:2])) in (0, 2)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for file in FILES[:6]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "old").mkdir()
    cases = "".join(
        f'<testcase classname="{file}" name="n" time="{2**place}"/>' for place, file in enumerate(FILES[:5])
    )
    (tmp_path / "old" / "junit.xml").write_text(f"<testsuite>{cases}</testsuite>")
    return tmp_path


def run_shard(home: Path, shard: int, *more: str, history: str = "old", of: int = 2) -> tuple[list[str], str]:
    arguments = ("--split", str(of), "--shard", str(shard), "--history", history)
    done = pgwatch(home, "junit", *arguments, *(more or ("--for", "vitest", "tests/*/*.test.ts")))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def test_files_for_a_runner_and_what_the_report_makes_of_the_plans(home: Path) -> None:
    both = []
    for shard in (1, 2):
        folder = home / "art" / f"unit-{shard}"
        folder.mkdir(parents=True)
        plan = f"art/unit-{shard}/pgwatch-split.json"
        own, said = run_shard(home, shard, "--for", "vitest", "--plan", plan, "tests/*/*.test.ts")
        assert "digest" in said
        assert "1 without a time" in said
        both += own
        relative = [str(Path(one).relative_to(home)) for one in own]
        cases = "".join(f'<testcase classname="{one}" name="n" time="1"/>' for one in relative)
        (folder / "junit.xml").write_text(f"<testsuite>{cases}</testsuite>")
    assert sorted(both) == [str(home / file) for file in FILES[:6]]
    assert both[0] == str(home / FILES[4])  # the longest

    def kinds() -> set[str]:
        done = pgwatch(home, "junit", "art/*/junit.xml", "--format", "json")
        return {one["kind"] for one in json.loads(done.stdout)["findings"]} - {"exit_code_unknown"}

    assert kinds() == set()
    done = pgwatch(home, "junit", "art", "--format", "json")
    assert [one["split"]["shard"] for one in json.loads(done.stdout)["shards"]] == [1, 2]
    (home / "art/unit-2/junit.xml").write_text('<testsuite><testcase name="n"/></testsuite>')
    assert kinds() == {"never_ran"}
    path = home / "art/unit-2/pgwatch-split.json"
    written = read_plan(path.read_text())
    assert written is not None
    path.write_text(plan_document(replace(written, digest="00000000", files=written.all_files)))
    assert kinds() == {"never_ran", "ran_twice", "other_history"}


def test_playwright_gets_lines_of_a_test_list(home: Path) -> None:
    lines, said = run_shard(home, 1, "--for", "playwright", "tests/*/*.test.ts", history="none", of=1)
    assert lines == FILES[:6]
    assert "no times in none" in said


def test_a_shard_without_files_runs_none(home: Path) -> None:
    arguments = ("--split", "9", "--shard", "9", "--for", "vitest", "--history", "old")
    done = pgwatch(home, "junit", *arguments, "tests/*/*.test.ts")
    # Vitest without arguments would run everything.
    assert (done.returncode, done.stdout) == (2, "no-file-for-this-shard\n")
    for wrong in (["--fail"], ["--format", "json"], ["--expect", "2"], ["--shards", "a:2"]):
        assert "--split reports nothing" in pgwatch(home, "junit", "a.test.ts", *arguments, *wrong).stderr
    for missing in (("--split", "2"), ("--shard", "1"), ("--split", "1", "--shard", "2", *arguments[4:])):
        assert pgwatch(home, "junit", *missing, "tests/*/*.test.ts").returncode == 2
