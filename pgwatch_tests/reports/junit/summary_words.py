"""Words that all reports on JUnit files share: the verdict, what a test is called, why it failed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pgwatch_tests.junit.outcomes import message_of
from pgwatch_tests.junit.summary import JUnitSummary, ShardReport, Totals
from pgwatch_tests.junit.verdicts import JUnitTest
from pgwatch_tests.text.durations import in_words
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import shortened_middle
from pgwatch_tests.text.secrets import mask_text

_LONGEST_ID = 300
"""Characters of a test's id in one line: tables of parameters have made names of megabytes."""

STANDS_FOR = {
    "file": "the file could not be loaded",
    "hook": "a hook of the group failed",
    "crash": "a crash outside of any test",
    "suite": "the suite failed outside of its tests",
}


def headline(summary: JUnitSummary) -> str:
    """`3 of 250 tests failed, 1 flaky; 1 of 4 shards missing`: what somebody has to know first."""
    totals = summary.totals
    parts = [_passed(totals)]
    if totals.not_ok:
        parts = [f"{totals.not_ok:,} of {plural(totals.tests, 'test')} failed"]
    if totals.flaky:
        parts[0] += f", {totals.flaky:,} flaky"
    errors = [one for one in summary.findings if one.level == "error"]
    if errors:
        shards = {one.shard for one in errors}
        parts.append(
            f"{plural(len(errors), 'finding')} on {plural(len(shards), 'shard')} of {len(summary.shards):,}"
            if len(summary.shards) > 1
            else plural(len(errors), "finding")
        )
    return "; ".join(parts)


def _passed(totals: Totals) -> str:
    if not totals.tests:
        return "no test is reported"
    skipped = f", {totals.skipped:,} skipped" if totals.skipped else ""
    return f"no failure in {plural(totals.tests, 'test')}{skipped}"


def shard_words(shard: ShardReport) -> str:
    """How a shard's command ended: `exit code 1`, `signal 9`, `not known`."""
    run = shard.run
    if run is None or run.facts is None:
        return "not known"
    if run.facts.signal:
        return f"signal {run.facts.signal}"
    code = run.facts.command_exit_code
    return "not ended" if code is None else str(code)


def verdict_words(test: JUnitTest) -> str:
    """`failed`, `errored`, `flaky: 2 of 3 attempts failed`; with what it stands for, if it is no test."""
    words: str = test.verdict
    if test.verdict == "flaky":
        words = f"flaky: {test.failed_attempts:,} of {plural(test.attempts, 'attempt')} failed"
    elif test.has_failed and test.failed_attempts:
        words = f"{test.verdict} in {plural(test.attempts, 'attempt')}"
    return f"{words}, {STANDS_FOR[test.stands_for]}" if test.stands_for in STANDS_FOR else words


COLUMNS = ("Shard", "Tests", "Passed", "Failed", "Errored", "Skipped", "Flaky", "Tests' time", "Exit code")
ALIGNMENT = "lrrrrrrrr"


def shard_rows(summary: JUnitSummary, name: Callable[[str], str], most: int) -> Iterator[list[str]]:
    """Yields a row per shard, at most so many, and one for all; `name` makes a shard's name safe to show."""
    for shard in summary.shards[:most]:
        attempt = f" (attempt {shard.attempt})" if shard.attempt > 1 else ""
        words = [duration_words(shard.duration_s), shard_words(shard)]
        yield [f"{name(shard.name)}{attempt}", *_numbers(shard.totals), *words]
    if len(summary.shards) > 1:
        yield ["in all", *_numbers(summary.totals), "", ""]


def _numbers(totals: Totals) -> list[str]:
    each = (totals.tests, totals.passed, totals.failed, totals.errored, totals.skipped, totals.flaky)
    return [f"{number:,}" for number in each]


def duration_words(shard_or_test_s: float | None) -> str:
    """`1.2 s`; empty if it isn't known."""
    return "" if shard_or_test_s is None else in_words(shard_or_test_s)


def id_words(test: JUnitTest) -> str:
    """What it is called, without secrets that its parameters hold, as long as a line bears; not plain yet."""
    return shortened_middle(mask_text(test.id), _LONGEST_ID)


def reason(test: JUnitTest) -> str:
    """Why it failed, in one line; it isn't plain text yet."""
    return message_of(test) or "no message"


def database_lines(test: JUnitTest) -> Iterator[str]:
    """What the database knew of a failed test, a sentence each."""
    yield from test.database
