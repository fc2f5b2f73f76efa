"""One run of the example, as somebody who has just cloned it would start it, and what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "booking"
_SECTION = re.compile(r"^=+ (?P<title>pgwatch: .*?) =+$")
_OTHER = re.compile(r"^=+ .* =+$")
_WORKER = re.compile(r" \[gw\d+\]$")


@dataclass(frozen=True, slots=True)
class Named:
    """A test, or a fixture, that the summary names."""

    name: str
    reasons: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def text(self) -> str:
        """All that is said of it."""
        return "; ".join(self.reasons)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run said."""

    exit_status: int
    output: str
    tests: int
    failed: frozenset[str]
    """The ids of tests that failed, in their tear-down too."""

    @property
    def named(self) -> list[Named]:
        """Whom the findings' section names, each once."""
        by_name: dict[str, list[str]] = {}
        current = ""
        for line in _section(self.output, "finding"):
            if not line.startswith(" "):
                current = _WORKER.sub("", line)
                by_name.setdefault(current, [])
            else:
                by_name[current].append(line.strip())
        return [
            Named(
                name,
                tuple(line for line in lines if not line.startswith("→")),
                tuple(line for line in lines if line.startswith("→")),
            )
            for name, lines in by_name.items()
        ]


def run_example(directory: Path, *options: str, environment: dict[str, str] | None = None) -> Run:
    """Runs the example with four workers. `directory` is for the report."""
    report = directory / "junit.xml"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-n", "4", "--pgwatch=fail", "-p", "no:cacheprovider"),
            *(f"--junit-xml={report}", *options),
        ],
        cwd=EXAMPLE,
        env={**_environment(), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    failed = frozenset(_id(case) for case in cases if case.findall("failure") + case.findall("error"))
    return Run(done.returncode, done.stdout, len({_id(case) for case in cases}), failed)


def _environment() -> dict[str, str]:
    """Returns what a user's shell has: nothing of the suite that runs here."""
    ours = ("PYTEST", "PYTHONPATH", "PGWATCH_DSN", "PGWATCH_RUN", "PGWATCH_LOG_DIR", "DATABASE_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "COLUMNS": "120"}


def _id(case: ElementTree.Element) -> str:
    path = case.attrib["classname"].replace(".", "/")
    return f"{path}.py::{case.attrib['name']}"


def _section(output: str, word: str) -> Iterator[str]:
    """Yields the lines of the section of the terminal's summary that has this word in its title."""
    lines: Sequence[str] = output.splitlines()
    inside = False
    for line in lines:
        if match := _SECTION.match(line):
            inside = word in match["title"]
        elif _OTHER.match(line):
            inside = False
        elif inside and line.strip():
            yield line
