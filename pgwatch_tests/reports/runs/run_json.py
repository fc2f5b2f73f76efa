"""Recorded runs as the JSON document `pgwatch-tests.report/1`, which is complete. Pure."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING

from cattrs import Converter

from pgwatch_tests.record import sums
from pgwatch_tests.record.merging.merged import RecordedRun, RunReport, ServerReport
from pgwatch_tests.record.run_summary import CauseSum, ObjectSum, PairSum
from pgwatch_tests.reports.runs import run_words
from pgwatch_tests.text.times import iso_time

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA = "pgwatch-tests.report/1"

# Hours of waits pass here: it has a function for each class, made once.
_CONVERTER = Converter(unstruct_collection_overrides={tuple: list})
_CONVERTER.register_unstructure_hook(datetime, lambda moment: iso_time(moment, "microseconds"))


def document(report: RunReport) -> str:
    """The document on one line, for it may be long. Text is as it was recorded, ASCII-escaped."""
    runs = report.runs
    place = {id(run): number for number, run in enumerate(runs)}
    content = {
        "schema": SCHEMA,
        "verdict": run_words.verdict(report, str),
        "runs": [_run(run) for run in runs],
        "servers": [
            {"runs": [place[id(run)] for run in server.runs], **_server(server)} for server in report.servers
        ],
        "unreadable": _plain(report.unreadable),
    }
    return json.dumps(content, allow_nan=False)


def _run(run: RecordedRun) -> dict[str, object]:
    return {
        "name": run.name,
        "ending": run.ending,
        "is_whole": run.is_whole,
        "facts": _plain(run.facts),
        "began": _plain(run.began),
        "until": _plain(run.until),
        "polls": run.polls,
        "watched_s": run.watched_s,
        "unwatched_s": run.unwatched_s,
        "leaks_checked": run.leaks_checked,
        "marks": _plain(run.marks),
        "hangs": _plain(run.hangs),
        "outcomes": _plain(run.outcomes),
        "plugin_findings": _plain(run.plugin_findings),
        "last": _plain(run.last),
        "not_checked": _plain(run.not_checked),
    }


def _server(server: ServerReport) -> dict[str, object]:
    return {
        "servers": _plain(server.servers),
        "since": _plain(server.span and server.span.since),
        "until": _plain(server.span and server.span.until),
        "watched_s": server.watched_s,
        "unwatched_s": server.unwatched_s,
        "gaps": [
            {"since": _plain(gap.since), "until": _plain(gap.until), "duration_s": gap.seconds}
            for gap in server.gaps
        ],
        "blocked_s": server.blocked_s,
        "pairs": [_flat(one) for one in sums.pairs(server.waits)],
        "objects": [_flat(one) for one in sums.objects(server.waits)],
        "causes": [_flat(one) for one in sums.causes(server.waits)],
        "waits": _plain(server.waits),
        "deadlocks": _plain(server.deadlocks),
        "tests": _plain(server.tests),
        "leaks": _plain(server.leaks),
    }


def _flat(one: PairSum | ObjectSum | CauseSum) -> dict[str, object]:
    """A sum with its figures beside what they are of: `{blocker, waiter, blocked_s, waits, longest_s, …}`."""
    flat: dict[str, object] = {}
    for name in _names(one):
        value = getattr(one, name)
        flat |= (
            {key: getattr(value, key) for key in _names(value)} if name == "sum" else {name: _plain(value)}
        )
    return flat


def _plain(value: object) -> object:
    """A value as JSON has it."""
    return _CONVERTER.unstructure(value)


_NAMES: dict[str, tuple[str, ...]] = {}


def _names(one: DataclassInstance) -> tuple[str, ...]:
    """The names of a dataclass' fields, asked once per class."""
    key = type(one).__qualname__
    if key not in _NAMES:
        _NAMES[key] = tuple(field.name for field in fields(one))
    return _NAMES[key]
