"""docs/junit.md shows commands that are parsed, findings that exist, and what is printed for its example."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import get_args

from pgwatch_tests import cli
from pgwatch_tests.junit.summary import FindingKind
from pgwatch_tests.record.results import ResultsDirectory, RunRecord
from tests.cli.running import pgwatch
from tests.record.made_events import BEGAN, facts

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "junit.md").read_text(encoding="utf-8")
FAILED = '<failure message="expected 2 to be 1"/>'
UNIT = """<testsuites name="vitest tests" tests="3"><testsuite name="tests/booking.test.ts">
<testcase classname="tests/booking.test.ts" name="Booking &gt; cancels" time="0.4"/>
"""


def write(home: Path, shard: str, content: str, code: int, signal: int | None = None) -> None:
    folder = home / "artifacts" / shard
    folder.mkdir(parents=True)
    (folder / "junit.xml").write_text(content)
    results = ResultsDirectory(folder / "pgwatch-results" / shard)
    results.path.mkdir(parents=True)
    run = replace(facts(shard, run=f"{len(shard):08}", exit_code=code), began=BEGAN, signal=signal)
    results.write(RunRecord(replace(run, command_exit_code=code)))


def test_the_example_prints_what_the_page_shows(tmp_path: Path) -> None:
    flaky, end = '<flakyFailure message="timed out"/>', "</testcase>"
    case = '<testcase classname="tests/booking.test.ts" name="Booking &gt; '
    more = f'{case}creates" time="0.9">{flaky}{end}{case}refuses a taken slot" time="0.5">{FAILED}{end}'
    write(tmp_path, "unit-1", f"{UNIT}{more}</testsuite></testsuites>", 1)
    other = UNIT.replace("booking", "waiting")
    write(tmp_path, "unit-2", f'{other}<testcase classname="tests/booking.test.ts"\n', 137, 9)
    cases = "".join(f'<testcase classname="a.spec.ts" name="a › {n}" time="1.6"/>' for n in (1, 2))
    suite = f'<testsuite name="a.spec.ts" hostname="chrome">{cases}</testsuite>'
    write(tmp_path, "e2e-1", f'<testsuites id="" name="">{suite}</testsuites>', 0)

    (command,) = re.findall(r"^\$ pgwatch-tests (.+)$", TEXT, re.MULTILINE)
    done = pgwatch(tmp_path, *shlex.split(command))

    (shown,) = re.findall(r"<!-- output: artifacts -->\n```text\n(.*?)```", TEXT, re.DOTALL)
    assert (done.returncode, done.stderr) == (1, "")
    assert [line.rstrip() for line in done.stdout.splitlines()] == shown.splitlines()


def test_all_kinds_of_findings_are_told() -> None:
    table = TEXT.partition("| kind | level |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:])))
    assert named == set(get_args(FindingKind))


def test_commands_are_parsed() -> None:
    blocks = "".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", "")
    lines = re.findall(r"pgwatch-tests junit ([^|>\n]+)", blocks)
    assert len(lines) == 2
    command = cli.group.get_command(cli.group.make_context("pgwatch-tests", ["junit"]), "junit")
    assert command is not None
    for line in lines:
        assert command.make_context("junit", shlex.split(line)).params["split"] == 4
