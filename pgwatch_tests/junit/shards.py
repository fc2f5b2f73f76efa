"""Shards of a CI run: whose each report is, which attempt of a shard counts, and whose exit code. Pure."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from pgwatch_tests.junit.report_files import GivenFile, ReportFile
from pgwatch_tests.junit.shard_names import (
    ExpectedShards,
    ShardName,
    canonical_names,
    names_of,
    shared_beginning,
)
from pgwatch_tests.junit.splitting import SplitPlan
from pgwatch_tests.junit.summary import ShardReport, ShardRun
from pgwatch_tests.junit.verdicts import judged_tests

_CLOCK_SLACK = timedelta(seconds=2)
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Upload:
    """What lay together: files of one shard and attempt, and the run that wrote them."""

    label: str
    attempt: int
    run: ShardRun | None
    files: tuple[ReportFile, ...]

    @property
    def order(self) -> tuple[int, datetime]:
        """The newest has the highest."""
        facts = None if self.run is None else self.run.facts
        moments = [one.last_began or one.modified for one in self.files]
        return self.attempt, facts.began if facts else max(filter(None, moments), default=_NEVER)


def shards_of(
    given: Sequence[GivenFile],
    reports: Sequence[ReportFile],
    runs: Sequence[ShardRun],
    expected: Sequence[ExpectedShards] = (),
    plans: Mapping[Path, SplitPlan] = MappingProxyType({}),
) -> list[ShardReport]:
    """Returns the shards, those that were expected first; one that isn't there has neither files nor a run.

    `reports` are what was read of `given`, in the same order; `plans` those that lie beside them, by path.
    """
    uploads = _uploads(given, reports, runs)
    canonical = canonical_names({one.label for one in uploads}, expected)
    by_name: defaultdict[str, list[_Upload]] = defaultdict(list)
    for one in uploads:
        by_name[canonical.get(one.label, one.label)].append(one)
    wanted = list(chain.from_iterable(kind.names for kind in expected))
    others = sorted(set(by_name) - set(wanted), key=_by_number)
    return [
        _shard(name, by_name.get(name, []), plans, is_expected=not expected or name in wanted)
        for name in (*wanted, *others)
    ]


def _by_number(name: str) -> list[tuple[int, str]]:
    """An order in which `e2e-10` comes after `e2e-9`."""
    parts: list[tuple[int, str]] = []
    word = ""
    for character in name:
        if character.isdecimal() != word[-1:].isdecimal() and word:
            parts.append((int(word), "") if word.isdecimal() else (0, word))
            word = ""
        word += character
    return [*parts, (int(word), "") if word.isdecimal() else (0, word)]


def _uploads(
    given: Sequence[GivenFile], reports: Sequence[ReportFile], runs: Sequence[ShardRun]
) -> list[_Upload]:
    names = names_of(given)
    run_of = _runs_of(names, dict(zip((one.path for one in given), reports, strict=True)), runs)
    files: defaultdict[tuple[str, int, int | None], list[ReportFile]] = defaultdict(list)
    for one, report in zip(given, reports, strict=True):
        run = run_of.get(one.path)
        name = names[one.path]
        facts = None if run is None else runs[run].facts
        if facts is None:
            files[name.name, name.attempt, run].append(report)
        else:
            files[facts.shard or name.name, max(facts.attempt, name.attempt), run].append(report)
    found = [
        _Upload(label, attempt, None if run is None else runs[run], tuple(those))
        for (label, attempt, run), those in files.items()
    ]
    for place, without in enumerate(runs):
        if place not in run_of.values() and without.facts is not None and not without.is_by_chance:
            label = without.facts.shard or Path(without.recorded.name).resolve().parent.name
            found.append(_Upload(label, without.facts.attempt, without, ()))
    return found


def _runs_of(
    names: Mapping[Path, ShardName], reports: Mapping[Path, ReportFile], runs: Sequence[ShardRun]
) -> dict[Path, int]:
    """The place of the run that each file belongs to, where that can be told."""
    if not runs:
        return {}
    folders = [Path(os.path.realpath(run.recorded.name)) for run in runs]
    paths = {path: Path(os.path.realpath(path)) for path in names if str(path) != "-"}
    everything = [*folders, *(path.parent for path in paths.values())]
    top = len(Path(os.path.commonpath(everything)).parts)
    has_several = len({name.name for name in names.values()}) > 1
    found = {}
    for path, whole in paths.items():
        near = [shared_beginning([whole.parent.parts, folder.parts]) for folder in folders]
        nearest = max(near)
        candidates = [place for place, depth in enumerate(near) if depth == nearest]
        # What has nothing but the top in common with a run is its own only if there is no other.
        if len(candidates) > 1 or (nearest == top and (len(runs) > 1 or has_several)):
            candidates = [place for place in candidates if _fits(runs[place], whole, names[path])]
        if len(candidates) == 1 and not _is_later(reports[path], runs[candidates[0]]):
            found[path] = candidates[0]
    return found


def _is_later(report: ReportFile, run: ShardRun) -> bool:
    """Whether the tests of a report began after the run had ended: an old run lies beside a new report."""
    ended = None if run.facts is None else run.facts.ended
    return ended is not None and report.first_began is not None and report.first_began > ended + _CLOCK_SLACK


def _fits(run: ShardRun, path: Path, name: ShardName) -> bool:
    """Whether the run says that it wrote a file of that name, or is of the shard that the path names."""
    if run.facts is None:
        return False
    if run.facts.shard:
        return run.facts.shard == name.name
    return path.name in {Path(one).name for one in run.facts.junit_files}


def _shard(
    name: str, uploads: Iterable[_Upload], plans: Mapping[Path, SplitPlan], *, is_expected: bool
) -> ShardReport:
    ordered = sorted(uploads, key=lambda one: one.order)
    attempts = [_attempt(name, one) for one in ordered]
    if not attempts:
        return ShardReport(name)
    *earlier, newest = attempts
    plan = next((plans[one.path] for one in newest.files if one.path in plans), None)
    return replace(newest, earlier=tuple(earlier), is_expected=is_expected, plan=plan)


def _attempt(name: str, upload: _Upload) -> ShardReport:
    # In the order in which they were written, so that the last attempt at a test decides.
    files = sorted(upload.files, key=lambda one: one.last_began or one.modified or _NEVER)
    distinct: list[ReportFile] = []
    for one in files:
        if not any(one.is_copy_of(other) for other in distinct):
            distinct.append(one)
    tests = judged_tests((case for one in distinct for case in one.cases), name)
    return ShardReport(name, tuple(files), tuple(tests), upload.attempt, upload.run)
