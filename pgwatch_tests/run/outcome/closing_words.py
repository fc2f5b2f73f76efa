"""The last words of a run, on stderr: a verdict, the worst, what isn't known, where the report is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgwatch_tests.errors import Verdict
from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak, by_test
from pgwatch_tests.leaks.model import TRACES, LeakReport
from pgwatch_tests.record import plugin_findings, sums
from pgwatch_tests.record.events import leak_events
from pgwatch_tests.record.results import ResultsDirectory, RunRecord
from pgwatch_tests.reports.leaks.leak_words import suspected
from pgwatch_tests.run.checks.fail_on import Evidence
from pgwatch_tests.text.durations import in_words
from pgwatch_tests.text.numbers import plural

_MOST_PAIRS = 3
_MOST_TABLES = 3
_MOST_TESTS = 3
_MOST_NOT_CHECKED = 5
_MOST_FINDINGS = 5
_WORTH_TELLING_S = 0.5


def lines(
    record: RunRecord, known: Evidence, results: ResultsDirectory | None, exit_code: int
) -> Iterator[str]:
    """Yields the lines; texts of others are as they are."""
    yield "; ".join(_verdict(record, known, exit_code))
    for finding in record.findings[:_MOST_FINDINGS]:
        yield f"  fails on {finding.kind}: {finding.text}"
    if len(record.findings) > _MOST_FINDINGS:
        yield f"  and {plural(len(record.findings) - _MOST_FINDINGS, 'finding')} more"
    if not any(finding.kind == "blocked" for finding in record.findings):
        yield from _pairs(known)
    yield from _leaks(known)
    yield from _plugin_findings(known)
    # Beside the rows that the plugin saw there: whether there are others isn't known.
    unmarked = [] if known.leaks is None else [unmarkable(known.leaks.without_strings)]
    not_checked = sorted(record.not_checked, key=lambda reason: reason not in unmarked)
    yield from (f"  not checked: {reason}" for reason in not_checked if reason in unmarked)
    yield from _origin(record, known)
    not_checked = [reason for reason in not_checked if reason not in unmarked]
    for reason in not_checked[:_MOST_NOT_CHECKED]:
        yield f"  not checked: {reason}"
    if len(not_checked) > _MOST_NOT_CHECKED:
        more = plural(len(not_checked) - _MOST_NOT_CHECKED, "thing")
        yield f"  not checked: {more} more{'' if results is None else ', see run.json'}"
    for note in record.notes:
        yield f"  {note}"
    if results is not None:
        name = record.files.get("html") or record.files.get("markdown") or results.index.name
        yield f"  report: {results.path / name}"


def _verdict(record: RunRecord, known: Evidence, exit_code: int) -> Iterator[str]:
    yield f"{_ended(record)}{_gate(record.verdict, record.facts.command_exit_code, exit_code)}"
    if known.waits is not None:
        blocked_s = sum(wait.waited_s for wait in known.waits)
        if known.waits:
            yield f"{plural(len(known.waits), 'wait')} for locks seen, {in_words(blocked_s)} in all"
        else:
            yield "no wait for a lock seen"
        if known.deadlocks:
            yield plural(len(known.deadlocks), "deadlock")
    if hangs := sum(hang.kind == "blocked" for hang in known.hangs or ()):
        yield plural(hangs, "hang")
    yield from _left(known)
    if known.plugin is not None and (others := plugin_findings.other_findings(known.plugin.findings)):
        yield others


def _left(known: Evidence) -> Iterator[str]:
    """How many rows were left, whoever has seen them, and how many other things."""
    report, findings = known.leaks, () if known.plugin is None else known.plugin.findings
    checked = {} if report is None else {f"{one.schema}.{one.table}": one.rows for one in report.tables}
    rows = sum(plugin_findings.leaked_rows(checked, findings).values())
    if report is None:
        if rows:
            yield plural(rows, "leaked row")
        return
    left = sum(one.kind not in TRACES for one in report.leftovers)
    more = f" and {plural(left, 'other leftover')}" if left else ""
    if known.leaks_may_be_older and report.total:
        more += ", perhaps older than this run"
    elif rows and report.mode == "any" and not report.total:
        more += ", none of them there in the end"
    yield f"{plural(rows, 'leaked row')}{more}" if rows or left else _nothing_leaked(report)


def _ended(record: RunRecord) -> str:
    code = record.facts.command_exit_code
    if code is None:
        return "the command still runs"
    if record.facts.signal is not None:
        return f"the command was ended by signal {record.facts.signal}"
    return "the command passed" if code == 0 else f"the command failed ({code})"


def _gate(verdict: Verdict | None, command_exit_code: int | None, exit_code: int) -> str:
    if verdict in (None, "clean") or command_exit_code != 0:
        return ""
    words = "--fail-on found something" if verdict == "findings" else "--fail-on couldn't check everything"
    return f", but {words}: exit code {exit_code}"


def _pairs(known: Evidence) -> Iterator[str]:
    for pair in sums.pairs(known.waits or ())[:_MOST_PAIRS]:
        if pair.sum.blocked_s >= _WORTH_TELLING_S:
            yield (
                f"  {in_words(pair.sum.blocked_s)}: {pair.waiter} waited for {pair.blocker} ({pair.target})"
            )


def unmarkable(tables: Sequence[str]) -> str:
    """Why rows of these tables aren't known: `rows of public.invoices: no column could hold a marker …`."""
    more = f" and {plural(len(tables) - _MOST_TABLES, 'more table')}" if len(tables) > _MOST_TABLES else ""
    return (
        f"rows of {', '.join(tables[:_MOST_TABLES])}{more}: no column could hold a marker (run --any counts "
        "all new rows)"
    )


def _nothing_leaked(report: LeakReport) -> str:
    """What is known to be gone: rows may be there that can bear no marker."""
    unmarkable_rows = report.mode == "marked" and report.without_strings
    return "no row with a marker left" if unmarkable_rows else "nothing leaked"


def _plugin_findings(known: Evidence) -> Iterator[str]:
    if known.plugin is None:
        return
    leaks = () if known.leaks is None else tuple(leak_events(known.leaks))
    found = plugin_findings.besides(known.plugin.findings, leaks)
    for one in found[:_MOST_FINDINGS]:
        yield f"  the plugin: {one.owner or 'nobody known for a fact'}: {one.reason}"
    if len(found) > _MOST_FINDINGS:
        yield f"  and {plural(len(found) - _MOST_FINDINGS, 'finding')} more of the plugin"


def _origin(record: RunRecord, known: Evidence) -> Iterator[str]:
    """How to learn who left rows, where no test is known of any and the plugin was off."""
    if known.leaks is None or known.plugin is not None or not known.leaks.total:
        return
    if any(one.confidence != "unknown" for table in known.leaks.tables for one in table.attribution):
        return
    how = "put the test's hash into values (docs/test-ids.md)"
    if any("pytest" in word for word in record.facts.command):
        how = "pgwatch-tests run -- pytest --pgwatch=warn … (autocommit writes: without -n)"
    yield f"  which test left rows isn't known; to learn it: {how}"


def _leaks(known: Evidence) -> Iterator[str]:
    if known.leaks is None:
        return
    for one in by_test(known.leaks.tables)[:_MOST_TESTS]:
        tables = ", ".join(name for name, _ in one.tables[:_MOST_TESTS])
        yield f"  {plural(one.rows, 'row')} of {tables} left by {_whom(one)}"


def _whom(one: TestLeak) -> str:
    return suspected(one.candidates) if one.candidates else one.test or "a test that is not known"
