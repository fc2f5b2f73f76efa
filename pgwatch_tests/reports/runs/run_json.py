"""Recorded runs as the JSON document `pgwatch-tests.report/1`, which is complete. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from datetime import datetime

from pgwatch_tests.record import sums
from pgwatch_tests.record.merged import RecordedRun, RunReport, ServerReport, Span
from pgwatch_tests.record.run_summary import BlockedSum
from pgwatch_tests.reports.runs import run_words
from pgwatch_tests.text.times import iso_time

SCHEMA = "pgwatch-tests.report/1"


def document(report: RunReport) -> str:
    """The document. Text is as it was recorded, ASCII-escaped."""
    runs = report.runs
    place = {id(run): number for number, run in enumerate(runs)}
    content = {
        "schema": SCHEMA,
        "verdict": run_words.verdict(report, str),
        "runs": [_run(run) for run in runs],
        "servers": [
            {"runs": [place[id(run)] for run in server.runs], **_server(server)} for server in report.servers
        ],
        "unreadable": [asdict(one) for one in report.unreadable],
    }
    return json.dumps(content, indent=1, allow_nan=False, default=_time)


def _time(value: object) -> str:
    if isinstance(value, datetime):
        return iso_time(value, "microseconds")
    raise TypeError(f"no JSON: {type(value).__name__}")


def _run(run: RecordedRun) -> dict[str, object]:
    return {
        "name": run.name,
        "ending": run.ending,
        "is_whole": run.is_whole,
        "facts": run.facts and asdict(run.facts),
        "began": run.began,
        "until": run.until,
        "polls": run.polls,
        "watched_s": run.watched_s,
        "unwatched_s": run.unwatched_s,
        "leaks_checked": run.leaks_checked,
        "marks": [asdict(mark) for mark in run.marks],
        "hangs": [asdict(hang) for hang in run.hangs],
        "outcomes": [asdict(outcome) for outcome in run.outcomes],
        "last": run.last and asdict(run.last),
        "not_checked": run.not_checked,
    }


def _server(server: ServerReport) -> dict[str, object]:
    return {
        "servers": [asdict(one) for one in server.servers],
        "since": server.span and server.span.since,
        "until": server.span and server.span.until,
        "watched_s": server.watched_s,
        "unwatched_s": server.unwatched_s,
        "gaps": [_span(gap) for gap in server.gaps],
        "blocked_s": server.blocked_s,
        "pairs": [_flat(one) for one in sums.pairs(server.waits)],
        "objects": [_flat(one) for one in sums.objects(server.waits)],
        "causes": [_flat(one) for one in sums.causes(server.waits)],
        "waits": [asdict(wait) for wait in server.waits],
        "deadlocks": [asdict(one) for one in server.deadlocks],
        "tests": [asdict(test) for test in server.tests],
        "leaks": [asdict(leak) for leak in server.leaks],
    }


def _span(span: Span) -> dict[str, object]:
    return {**asdict(span), "duration_s": span.seconds}


def _flat(one: object) -> dict[str, object]:
    """A sum with its figures beside what they are of: `{blocker, waiter, blocked_s, waits, longest_s, …}`."""
    flat: dict[str, object] = {}
    for field in fields(one):  # type: ignore[arg-type]
        value = getattr(one, field.name)
        flat |= asdict(value) if isinstance(value, BlockedSum) else {field.name: value}
    return flat
