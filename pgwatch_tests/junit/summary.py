"""The summary of all shards of a CI run: tests, shards, findings. Frozen values. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.errors import Verdict
from pgwatch_tests.junit.report_files import ReportFile
from pgwatch_tests.junit.splitting import SplitPlan
from pgwatch_tests.junit.verdicts import JUnitTest
from pgwatch_tests.record.merging.merged import RecordedRun
from pgwatch_tests.record.run_summary import RunFacts

Level = Literal["error", "warning", "notice"]
FindingKind = Literal[
    "missing",
    "killed",
    "stopped",
    "running",
    "empty",
    "torn",
    "no_report",
    "no_tests",
    "contradiction",
    "stale",
    "other_run",
    "copy",
    "ran_twice",
    "never_ran",
    "other_history",
    "unreadable",
    "growing",
    "suite_failed",
    "too_few",
    "doubtful_pass",
    "unexpected",
    "attempts",
    "exit_code_unknown",
    "second_document",
]
_NOT_CHECKED: frozenset[FindingKind] = frozenset({"unreadable", "growing"})


@dataclass(frozen=True, slots=True)
class JUnitFinding:
    """Something about a shard or its files that its tests don't say."""

    kind: FindingKind
    level: Level
    text: str
    """A sentence, without a full stop; it begins with the shard's name."""
    shard: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """How many tests ended how: the five add up to `tests`."""

    tests: int
    passed: int
    failed: int
    errored: int
    skipped: int
    flaky: int

    @classmethod
    def of(cls, tests: Sequence[JUnitTest]) -> Totals:
        """Counts them."""
        number = Counter(one.verdict for one in tests)
        return cls(
            len(tests),
            number["passed"],
            number["failed"],
            number["errored"],
            number["skipped"],
            number["flaky"],
        )

    @property
    def not_ok(self) -> int:
        """How many failed or ended with an error."""
        return self.failed + self.errored


@dataclass(frozen=True, slots=True)
class ShardRun:
    """The run that wrote a shard's reports: its results directory."""

    recorded: RecordedRun
    collected: int = 0
    """How many tests the pytest plugin has listed as collected; 0 if it isn't known."""
    is_by_chance: bool = False
    """Whether it only lay beside a report: without a report of its own, nobody has asked for it."""

    @property
    def facts(self) -> RunFacts | None:
        """What `run.json` says; None where there is only a recording."""
        return self.recorded.facts


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What counts of one shard: its newest attempt."""

    name: str
    files: tuple[ReportFile, ...] = ()
    tests: tuple[JUnitTest, ...] = ()
    attempt: int = 1
    run: ShardRun | None = None
    """Its results directory; None if there is none, and its exit code isn't known."""
    plan: SplitPlan | None = None
    """What `junit --split` has planned for it; None if nobody knows."""
    is_expected: bool = True
    earlier: tuple[ShardReport, ...] = ()
    """Its earlier attempts, the first first."""

    @property
    def totals(self) -> Totals:
        """How its tests ended."""
        return Totals.of(self.tests)

    @property
    def duration_s(self) -> float:
        """Seconds that its tests took, one after the other."""
        return sum(one.case.duration_s or 0.0 for one in self.tests)

    @property
    def exit_code(self) -> int | None:
        """That of its command, as a shell has it; None if it isn't known."""
        return None if self.run is None or self.run.facts is None else self.run.facts.command_exit_code


@dataclass(frozen=True, slots=True)
class JUnitSummary:
    """All shards in one report."""

    shards: tuple[ShardReport, ...]
    findings: tuple[JUnitFinding, ...]
    """Errors first."""

    @property
    def tests(self) -> list[JUnitTest]:
        """The tests of all shards."""
        return [test for shard in self.shards for test in shard.tests]

    @property
    def totals(self) -> Totals:
        """How all tests ended."""
        return Totals.of(self.tests)

    @property
    def verdict(self) -> Verdict:
        """Of a gate: findings if a test failed or a shard's report isn't right, else whether all was read."""
        errors = [one.kind for one in self.findings if one.level == "error"]
        if self.totals.not_ok or any(kind not in _NOT_CHECKED for kind in errors):
            return "findings"
        return "incomplete" if errors else "clean"
