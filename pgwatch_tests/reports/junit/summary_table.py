"""A summary of JUnit files as text: shards, findings, and the failed tests with what the database knew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgwatch_tests.junit.summary import JUnitSummary
from pgwatch_tests.junit.verdicts import JUnitTest, in_order
from pgwatch_tests.reports.junit.summary_words import (
    ALIGNMENT,
    COLUMNS,
    database_lines,
    headline,
    id_words,
    reason,
    shard_rows,
    verdict_words,
)
from pgwatch_tests.reports.render import text_table
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_middle

MOST_TESTS = 30
_MOST_SHARDS = 60
_MOST_FINDINGS = 30
_NAME_WIDTH = 40
_REASON_WIDTH = 160
_MOST_DATABASE = 6


def table(summary: JUnitSummary, most_tests: int = MOST_TESTS) -> str:
    """Returns the verdict, a row per shard, the findings, and the first failed and flaky tests."""
    parts = [[headline(summary)], list(_shards(summary)), list(_findings(summary))]
    tests = [one for one in in_order(summary.tests) if one.has_failed or one.verdict == "flaky"]
    parts += [list(_tests(tests, most_tests, len(summary.shards) > 1))]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _shards(summary: JUnitSummary) -> Iterator[str]:
    def name(text: str) -> str:
        return shortened_middle(plain(text), _NAME_WIDTH)

    rows = list(shard_rows(summary, name, _MOST_SHARDS))
    yield text_table.table(COLUMNS, ALIGNMENT, rows)
    if len(summary.shards) > _MOST_SHARDS:
        yield f"… and {len(summary.shards) - _MOST_SHARDS:,} more shards"


def _findings(summary: JUnitSummary) -> Iterator[str]:
    for one in summary.findings[:_MOST_FINDINGS]:
        yield f"{one.level}: {plain(one.text)}"
    if len(summary.findings) > _MOST_FINDINGS:
        yield f"… and {plural(len(summary.findings) - _MOST_FINDINGS, 'more finding')}"


def _tests(tests: Sequence[JUnitTest], most: int, with_shard: bool) -> Iterator[str]:
    for test in tests[:most]:
        shard = f"[{plain(test.shard)}] " if with_shard else ""
        yield f"{verdict_words(test)}: {shard}{plain(id_words(test))}"
        yield f"    {plain(shortened_middle(reason(test), _REASON_WIDTH))}"
        for line in list(database_lines(test))[:_MOST_DATABASE]:
            yield f"    → {plain(line)}"
    if len(tests) > most:
        yield f"… and {plural(len(tests) - most, 'more test')} that failed or are flaky"
