"""A summary of JUnit files in Markdown, for a job's summary: at most 900 KiB, cut between two blocks."""

from __future__ import annotations

from collections.abc import Iterator

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
from pgwatch_tests.reports.render.markdown_text import MOST_BYTES, block, code, escaped, grid
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain_lines, shortened_middle
from pgwatch_tests.text.secrets import mask_text

_ROOM_FOR_THE_END = 200
_MOST_SHARDS = 300
_MOST_FLAKY = 200
_LONGEST_NAME = 300
_LONGEST_TEXT = 4_000
_MOST_LINES = 40
_FIRST_LINES = 16
_LEVELS = {"error": "❌", "warning": "⚠️", "notice": "ℹ️"}


def document(summary: JUnitSummary, most_bytes: int = MOST_BYTES) -> str:
    """Returns the verdict, a table of shards, the findings, each failed test, and the flaky ones."""
    blocks: list[str] = []
    size = 0
    left_out = 0
    for one in _blocks(summary):
        size += len(one.encode("utf-8", "backslashreplace")) + 2
        if left_out or size > most_bytes - _ROOM_FOR_THE_END:
            left_out += 1
        else:
            blocks.append(one)
    if left_out:
        blocks.append(
            f"… cut short: {plural(left_out, 'more part')} of this report would not fit into a job's summary."
        )
    return "\n\n".join(blocks) + "\n"


def _blocks(summary: JUnitSummary) -> Iterator[str]:
    is_bad = summary.verdict != "clean"
    yield f"## {'❌' if is_bad else '✅'} {headline(summary)}"
    yield grid(COLUMNS, ALIGNMENT, list(shard_rows(summary, _name, _MOST_SHARDS)))
    if len(summary.shards) > _MOST_SHARDS:
        yield f"… and {plural(len(summary.shards) - _MOST_SHARDS, 'more shard')}."
    if summary.findings:
        is_doubted = any(one.level == "error" for one in summary.findings)
        yield "### What of this can't be believed" if is_doubted else "### Remarks"
        for one in summary.findings:
            yield f"- {_LEVELS[one.level]} {code(shortened_middle(one.text, _LONGEST_TEXT))}"
    failed = [one for one in in_order(summary.tests) if one.has_failed]
    if failed:
        yield f"### {plural(len(failed), 'failed test')}"
        for test in failed:
            yield _failed(test, len(summary.shards) > 1)
    yield from _flaky(summary)


def _name(text: str) -> str:
    return code(shortened_middle(text, _LONGEST_NAME))


def _failed(test: JUnitTest, with_shard: bool) -> str:
    """One block: a line that opens what the failure says, below what the database knew."""
    shard = f" · <code>{escaped(test.shard)}</code>" if with_shard else ""
    words = escaped(verdict_words(test))
    name = escaped(id_words(test))
    parts = [f"<details><summary><code>{name}</code>{shard} · {words}</summary>"]
    parts.append(code(reason(test)))
    database = [f"- {code(line)}" for line in database_lines(test)]
    if database:
        parts.append("What the database knew:\n\n" + "\n".join(database))
    for trouble in test.troubles[:3]:
        if text := _text(trouble.text or trouble.message):
            parts.append(block(text))
    parts.append("</details>")
    return "\n\n".join(parts)


def _text(text: str) -> str:
    """The first and last lines of a failure's text, as plain text: pytest says what was wrong at its end."""
    lines = plain_lines(shortened_middle(mask_text(text), _LONGEST_TEXT))
    if len(lines) > _MOST_LINES:
        left_out = plural(len(lines) - _MOST_LINES, "line")
        lines = [*lines[:_FIRST_LINES], f"… {left_out} …", *lines[_FIRST_LINES - _MOST_LINES :]]
    return "\n".join(lines).strip("\n")


def _flaky(summary: JUnitSummary) -> Iterator[str]:
    flaky = [one for one in summary.tests if one.verdict == "flaky"]
    if not flaky:
        return
    yield f"### {plural(len(flaky), 'flaky test')}"
    rows = [
        [
            code(id_words(test)),
            code(test.shard),
            verdict_words(test),
            code(reason(test)),
        ]
        for test in flaky[:_MOST_FLAKY]
    ]
    yield grid(("Test", "Shard", "Attempts", "First failure"), "llll", rows)
    if len(flaky) > _MOST_FLAKY:
        yield f"… and {plural(len(flaky) - _MOST_FLAKY, 'more flaky test')}."
