"""How long reading JUnit files takes beside a bare pass of expat over them, and how much memory.

    python -m tests.benchmarks.runs.junit

Three cases: 50 MB of 25,000 tests that print 2 kB each, 50 MB of 100,000 tests that print little, and 16
files of 200 kB. A bare pass counts the cases: expat with a handler of starts and one of ends. The budgets:
reading and judging 50 MB takes at most twice as long, and at most 60 MiB; 16 files take at most 0.3 s more
than a file of one test.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.benchmarks.measure import interleave

ROUNDS = 5
AT_MOST = 2.0
AT_MOST_MIB = 60.0
AT_MOST_S = 0.3

_BARE = """
import sys, time
from xml.parsers import expat
began = time.process_time()
parser, cases = expat.ParserCreate(), 0
def start(name, attributes):
    global cases
    cases += name == "testcase"
parser.StartElementHandler, parser.EndElementHandler = start, lambda name: None
with open(sys.argv[1], "rb") as file:
    parser.ParseFile(file)
print(time.process_time() - began, cases)
"""
_OURS = """
import gc, sys, time
from pathlib import Path
from pgwatch_tests.junit.report_files import read_report_file
from pgwatch_tests.junit.verdicts import judged_tests
gc.disable()  # as the command does
began = time.process_time()
tests = judged_tests(read_report_file(Path(sys.argv[1])).cases)
print(time.process_time() - began, len(tests))
"""


def write(path: Path, tests: int, output: int) -> None:
    """Writes a report as Vitest does: so many tests, each printing so many characters."""
    line = "some line that a test prints, as tests do\n"
    printed = line * (output // len(line))
    with path.open("w") as file:
        file.write(
            f'<?xml version="1.0" encoding="UTF-8" ?>\n<testsuites name="vitest tests" tests="{tests}">\n'
        )
        for suite in range(max(1, tests // 50)):
            name = f"tests/area{suite}/file.test.ts"
            file.write(f'    <testsuite name="{name}" timestamp="2026-11-28T05:34:05.794Z" time="0.5">\n')
            for number in range(min(50, tests)):
                title = f"group {number} &gt; does something rather well {suite * 50 + number}"
                file.write(f'        <testcase classname="{name}" name="{title}" time="0.0{number + 1}">\n')
                file.write(
                    f"            <system-out>\n{printed}            </system-out>\n        </testcase>\n"
                )
            file.write("    </testsuite>\n")
        file.write("</testsuites>\n")


def seconds_of(script: str, path: Path) -> float:
    """Seconds of processor time in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[0])


def peak_mib(*command: str) -> float:
    """The most memory that a command has held."""
    script = (
        "import resource, subprocess as s, sys; s.run(sys.argv[1:], check=True, stdout=s.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def command_s(*arguments: str) -> float:
    """Seconds of processor time of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "pgwatch_tests", *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def verdict(figure: float, at_most: float) -> str:
    """Whether a budget is kept."""
    return "within" if figure <= at_most else "ABOVE"


def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for title, tests, output in (("25,000 tests", 25_000, 1_800), ("100,000 tests", 100_000, 260)):
            path = home / "junit.xml"
            write(path, tests, output)
            cases: dict[str, Callable[[], float]] = {
                "bare": partial(seconds_of, _BARE, path),
                "junit": partial(seconds_of, _OURS, path),
            }
            samples = interleave(cases, ROUNDS)
            ratio = samples.ratio("junit", "bare")
            mib = peak_mib(sys.executable, "-c", _OURS, str(path))
            whole = peak_mib(sys.executable, "-m", "pgwatch_tests", "junit", str(path))
            print(
                f"{title}, {path.stat().st_size / 1e6:.0f} MB: {samples.median('junit'):.2f} s, bare {ratio}"
            )
            print(f"  {verdict(ratio.median, AT_MOST)} the budget of {AT_MOST:g}x")
            print(
                f"  {mib:.0f} MiB, the whole command {whole:.0f} MiB: {verdict(mib, AT_MOST_MIB)} the budget"
            )
        for shard in range(16):
            (home / f"unit-{shard}").mkdir()
            write(home / f"unit-{shard}" / "junit.xml", 400, 300)
        (home / "one.xml").write_text('<testsuite><testcase name="a"/></testsuite>')
        commands: dict[str, Callable[[], float]] = {
            "one": partial(command_s, "junit", str(home / "one.xml")),
            "files": partial(command_s, "junit", f"{home}/unit-*/junit.xml"),
        }
        samples = interleave(commands, ROUNDS)
        more_s = samples.median("files") - samples.median("one")
        size = (home / "unit-0" / "junit.xml").stat().st_size / 1e3
        print(f"16 files of {size:.0f} kB: {more_s:.2f} s: {verdict(more_s, AT_MOST_S)} the budget")


if __name__ == "__main__":
    main()
