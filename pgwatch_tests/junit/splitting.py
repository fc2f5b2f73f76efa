"""Test files split into shards by the time that they took before: the same on each machine. Pure.

Longest first, each to the shard that has least so far. All shards have to see the same files and the same
history: the digest of both is in each shard's plan, and the summary compares them.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Final, Literal

from pgwatch_tests.identity.junit_cases import JUnitCase
from pgwatch_tests.junit.report_files import ReportFile

SplitRunner = Literal["vitest", "playwright"]
SCHEMA: Final = "pgwatch-tests.split/1"
PLAN_NAME: Final = "pgwatch-split.json"
"""The name under which a summary looks for a shard's plan, beside its reports."""
NO_FILE = "no-file-for-this-shard"
"""What a shard without files is given: a runner that is given nothing runs everything."""
_START_S = 0.3
"""Import and start of a file, which JUnit times leave out: 0.15 to 0.5 s in Vitest."""
_UNKNOWN_S = 1.0
"""A file's time where there is no history at all."""


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """The files of one shard, and of all."""

    digest: str
    """Of all files, their times and the number of shards: 8 hex digits."""
    runner: SplitRunner
    split: int
    shard: int
    files: tuple[str, ...]
    """Its own, the longest first."""
    all_files: tuple[str, ...]
    known: int
    """How many of all files have a recorded time."""
    expected_s: float
    """How long its own take, one after the other."""
    ideal_s: float
    """How long they would take if all shards had the same."""


def plan_split(
    files: Iterable[str], times: Mapping[str, float], split: int, shard: int, runner: SplitRunner
) -> SplitPlan:
    """Returns the plan of that shard, counted from 1. A file without a time is taken for one of the usual."""
    each = sorted(set(files))
    known = {file: seconds for file in each if (seconds := _time_of(file, times)) is not None}
    usual_s = statistics.median(known.values()) if known else _UNKNOWN_S
    seconds_of = {file: round(known.get(file, usual_s) + _START_S, 3) for file in each}
    shards: list[list[str]] = [[] for _ in range(split)]
    totals = [0.0] * split
    units = _units(each, runner)
    for unit in sorted(units, key=lambda one: (-sum(seconds_of[file] for file in one), one)):
        place = min(range(split), key=lambda number: (totals[number], number))
        shards[place] += unit
        totals[place] = round(totals[place] + sum(seconds_of[file] for file in unit), 3)
    content = "\n".join(f"{file}\t{seconds:.3f}" for file, seconds in seconds_of.items())
    return SplitPlan(
        digest=sha256(f"{split}\n{content}".encode(errors="surrogateescape")).hexdigest()[:8],
        runner=runner,
        split=split,
        shard=shard,
        files=tuple(shards[shard - 1]),
        all_files=tuple(each),
        known=len(known),
        expected_s=totals[shard - 1],
        ideal_s=round(sum(totals) / split, 3),
    )


def _units(files: Sequence[str], runner: SplitRunner) -> list[list[str]]:
    """Files that go together: Vitest takes `a.test.ts` for `a.test.tsx` as well."""
    units = [[file] for file in files[:1]]
    for before, file in pairwise(files):
        if runner == "vitest" and file.startswith(units[-1][0]) and before in units[-1]:
            units[-1].append(file)
        else:
            units.append([file])
    return units


def _time_of(file: str, times: Mapping[str, float]) -> float | None:
    """The time of a file, which a report may name from a directory below: `e2e/a.spec.ts` as `a.spec.ts`."""
    parts = file.split("/")
    for begin in range(len(parts)):
        if (seconds := times.get("/".join(parts[begin:]))) is not None:
            return seconds
    return None


def file_times(reports: Iterable[ReportFile]) -> dict[str, float]:
    """Returns the median of the seconds that each file's tests took, over the reports that have it."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for report in reports:
        of_report: defaultdict[str, float] = defaultdict(float)
        for case in report.cases:
            if file := file_of(case):
                of_report[file] += case.duration_s or 0.0
        for file, seconds in of_report.items():
            found[file].append(seconds)
    return {file: statistics.median(each) for file, each in found.items()}


def file_of(case: JUnitCase) -> str:
    """The test file of a case, as its report names it; empty if it names none."""
    name = case.file or case.classname
    # A merged document has the shard before the class.
    return name.partition(": ")[2] or name if case.runner == "merged" and not case.file else name


def plan_document(plan: SplitPlan) -> str:
    """Returns the plan as the JSON document `pgwatch-tests.split/1`."""
    return json.dumps({"schema": SCHEMA, **asdict(plan)}, indent=1) + "\n"


def read_plan(text: str) -> SplitPlan | None:
    """Returns the plan of such a document; None if it is none."""
    try:
        content = json.loads(text)
        if content.pop("schema") != SCHEMA:
            return None
        runner: SplitRunner = "playwright" if content["runner"] == "playwright" else "vitest"
        return SplitPlan(
            digest=str(content["digest"]),
            runner=runner,
            split=int(content["split"]),
            shard=int(content["shard"]),
            files=tuple(map(str, content["files"])),
            all_files=tuple(map(str, content["all_files"])),
            known=int(content["known"]),
            expected_s=float(content["expected_s"]),
            ideal_s=float(content["ideal_s"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
