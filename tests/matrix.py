"""Runs the tests that need a server on several PostgreSQL majors: `python -m tests.matrix [13 14 …]`.

Prints which scenario holds on which version. With `--contrib`, only tests of what the demo's server hasn't:
on its own major, the suite shows the rest. Ends with 1 if anything failed, 2 if a version can't be had.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tabulate import tabulate

from pgwatch_tests.embedded.account import server_account
from pgwatch_tests.embedded.server import ServerPrograms
from tests import server_facing
from tests.locks.scenarios import CATALOGUE
from tests.locks.scenarios.truth import Scenario
from tests.servers import server_versions
from tests.servers.server_places import server_directory

MAJORS = (13, 14, 15, 16, 17, 18)
TESTS = ("-p", server_facing.__name__)
CONTRIB = ("-n", "0", "-m", "contrib")
"""Arguments of pytest: which tests are run."""
PASSED, FAILED, NOT_THERE, NO_RESULT = "✓", "✗", "–", "?"
_ROOT = Path(__file__).resolve().parents[1]
_SCENARIO = "test_scenario["


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one version's run came to. `scenarios` are the marks by name; the counts are of other tests."""

    version: str
    scenarios: Mapping[str, str]
    passed: int
    failed: int
    skipped: int
    exit_code: int

    @property
    def major(self) -> int:
        """PostgreSQL's major version."""
        return int(self.version.partition(".")[0])

    def mark(self, scenario: Scenario) -> str:
        """Whether a scenario holds; `?` if it should have run and didn't."""
        if scenario.since > self.major:
            return NOT_THERE
        return self.scenarios.get(scenario.name, NO_RESULT)

    @property
    def all_passed(self) -> bool:
        """Whether there was something to pass, and nothing else."""
        return self.exit_code == 0 and self.passed > 0 and not self.failed and not self.skipped

    def good(self, catalogue: Sequence[Scenario] = CATALOGUE) -> bool:
        """Whether nothing failed, and nothing of the catalogue was left out without a reason."""
        return self.exit_code == 0 and all(self.mark(one) in (PASSED, NOT_THERE) for one in catalogue)


def outcome(report: Path, version: str, exit_code: int) -> Outcome:
    """Reads pytest's JUnit report; without one, nothing has a result."""
    scenarios: dict[str, str] = {}
    counts = {PASSED: 0, FAILED: 0, NO_RESULT: 0}
    for case in ElementTree.parse(report).iter("testcase") if report.is_file() else ():
        kinds = {child.tag for child in case}
        mark = FAILED if kinds & {"failure", "error"} else NO_RESULT if "skipped" in kinds else PASSED
        name = case.get("name", "")
        if name.startswith(_SCENARIO):
            key = name.removeprefix(_SCENARIO).removesuffix("]")
            # A failure of a fixture's end is a second case of the same name.
            scenarios[key] = FAILED if FAILED in (mark, scenarios.get(key)) else mark
        else:
            counts[mark] += 1
    return Outcome(version, scenarios, counts[PASSED], counts[FAILED], counts[NO_RESULT], exit_code)


def text(outcomes: Sequence[Outcome], catalogue: Sequence[Scenario] = CATALOGUE) -> str:
    """The matrix, the reasons for its gaps, and what the other tests came to."""
    headers = ["scenario", *(one.version for one in outcomes)]
    rows = [[scenario.name, *(one.mark(scenario) for one in outcomes)] for scenario in catalogue]
    held = [sum(one.mark(scenario) == PASSED for scenario in catalogue) for one in outcomes]
    rows.append(
        [
            "scenarios that hold",
            *(f"{count}/{_possible(one, catalogue)}" for count, one in zip(held, outcomes, strict=True)),
        ]
    )
    for name, counts in (
        ("other tests passed", [one.passed for one in outcomes]),
        ("other tests failed", [one.failed for one in outcomes]),
        ("other tests skipped", [one.skipped for one in outcomes]),
    ):
        rows.append([name, *map(str, counts)])
    lines = [tabulate(rows, headers, tablefmt="simple", disable_numparse=True)]
    oldest = min((one.major for one in outcomes), default=0)
    lines += [
        f"{NOT_THERE} {scenario.name}: before {scenario.since}, {scenario.because}"
        for scenario in catalogue
        if scenario.since > oldest
    ]
    return "\n".join(lines)


def _possible(one: Outcome, catalogue: Sequence[Scenario]) -> int:
    return sum(scenario.since <= one.major for scenario in catalogue)


def run(programs: ServerPrograms, tests: Sequence[str] = TESTS) -> Outcome:
    """Runs tests on one version; pytest's output goes where ours does."""
    version = programs.version()
    print(f"\n== PostgreSQL {version}", flush=True)
    with tempfile.TemporaryDirectory() as scratch, _reachable(programs) as reachable:
        report = Path(scratch, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-rs", f"--junitxml={report}", *tests]
        environment = {**os.environ, "PGWATCH_PG_BIN": str(reachable.bin_dir)}
        finished = subprocess.run(command, cwd=_ROOT, env=environment, stdin=subprocess.DEVNULL)
        return outcome(report, version, finished.returncode)


@contextmanager
def _reachable(programs: ServerPrograms) -> Iterator[ServerPrograms]:
    """The programs, or a copy if they are where `nobody` can't go: one for all servers of a run."""
    account = server_account()
    if account is None or programs.usable_by(account):
        yield programs
        return
    home = server_directory()
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=home.name) as copy:
        Path(copy).chmod(0o755)
        yield programs.copied_to(Path(copy))


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("majors", nargs="*", type=int, default=MAJORS, help="default: %(default)s")
    parser.add_argument(
        "--cache", type=Path, default=server_versions.cache_directory(), help="default: %(default)s"
    )
    parser.add_argument("--contrib", action="store_true", help="only what the demo's server hasn't")
    options = parser.parse_args(arguments)
    try:
        releases = server_versions.releases()
        unknown = sorted(set(options.majors) - releases.keys())
        if unknown:
            parser.error(f"{server_versions.PACKAGE} has no PostgreSQL {', '.join(map(str, unknown))}")
        installed = [server_versions.programs(releases[major], options.cache) for major in options.majors]
    except (OSError, subprocess.SubprocessError) as error:
        parser.exit(2, f"PostgreSQL's programs can't be had: {error}\n")
    if options.contrib:
        outcomes = [run(programs, CONTRIB) for programs in installed]
        print(
            *(f"PostgreSQL {one.version}: {one.passed} passed, {one.failed} failed" for one in outcomes),
            sep="\n",
        )
        return 0 if all(one.all_passed for one in outcomes) else 1
    outcomes = [run(programs) for programs in installed]
    print(f"\n{text(outcomes)}")
    print("\nTests with a server that know no version:")
    for path, reason in server_facing.ELSEWHERE.items():
        print(f"{path}: {reason}")
    return 0 if all(one.good() for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
