"""A summary of JUnit files as the JSON document `pgwatch-tests.junit/1`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from pgwatch_tests.identity.application_name import digest
from pgwatch_tests.junit.outcomes import message_of
from pgwatch_tests.junit.report_files import ReportFile
from pgwatch_tests.junit.splitting import SplitPlan
from pgwatch_tests.junit.summary import JUnitFinding, JUnitSummary, ShardReport
from pgwatch_tests.junit.verdicts import JUnitTest
from pgwatch_tests.text.secrets import mask_text
from pgwatch_tests.text.times import iso_time

SCHEMA: Final = "pgwatch-tests.junit/1"


def document(summary: JUnitSummary) -> str:
    """Returns the document: a line per test, so that a hundred thousand of them stay readable."""
    return "\n".join(_lines(summary)) + "\n"


def _lines(summary: JUnitSummary) -> Iterator[str]:
    yield "{"
    yield f' "schema": {json.dumps(SCHEMA)},'
    yield f' "totals": {json.dumps(asdict(summary.totals))},'
    yield from _list("findings", map(_finding, summary.findings), ",")
    yield from _list("shards", map(_shard, summary.shards), ",")
    yield from _list("tests", map(_test, summary.tests), "")
    yield "}"


def _list(key: str, items: Iterator[dict[str, object]], end: str) -> Iterator[str]:
    before = f' "{key}": ['
    is_empty = True
    for item in items:
        if not is_empty:
            before += ","
        yield before
        before, is_empty = f"  {json.dumps(item)}", False
    yield f"{before}{']' if is_empty else ''}{end if is_empty else ''}"
    if not is_empty:
        yield f" ]{end}"


def _finding(one: JUnitFinding) -> dict[str, object]:
    return {
        "kind": one.kind,
        "level": one.level,
        "shard": one.shard,
        "text": one.text,
        "files": list(one.files),
    }


def _shard(shard: ShardReport) -> dict[str, object]:
    facts = None if shard.run is None else shard.run.facts
    return {
        "shard": shard.name,
        "attempt": shard.attempt,
        "totals": asdict(shard.totals),
        "duration_s": round(shard.duration_s, 6),
        "exit_code": shard.exit_code,
        "signal": facts.signal if facts is not None else None,
        "run": facts.run if facts is not None else None,
        "results": shard.run.recorded.name if shard.run is not None else None,
        "split": _split(shard.plan),
        "files": [_file(one) for one in shard.files],
        "earlier_attempts": [
            {
                "attempt": one.attempt,
                "totals": asdict(one.totals),
                "files": [str(file.path) for file in one.files],
            }
            for one in shard.earlier
        ],
    }


def _split(plan: SplitPlan | None) -> dict[str, object] | None:
    if plan is None:
        return None
    return {
        "digest": plan.digest,
        "shard": plan.shard,
        "shards": plan.split,
        "expected_s": plan.expected_s,
        "ideal_s": plan.ideal_s,
    }


def _file(one: ReportFile) -> dict[str, object]:
    return {
        "path": str(one.path),
        "runner": one.runner or None,
        "cases": len(one.cases),
        "trouble": one.trouble_kind or None,
        "detail": one.trouble or None,
        "began": None if one.first_began is None else iso_time(one.first_began),
        "anomalies": [{"code": anomaly.code, "text": anomaly.text} for anomaly in one.anomalies],
    }


def _test(test: JUnitTest) -> dict[str, object]:
    case = test.case
    record: dict[str, object] = {
        "test": test.id,
        "hash": digest(test.id),
        "verdict": test.verdict,
        "shard": test.shard,
        "project": test.project,
        "suite": case.suite.name,
        "class": case.classname,
        "name": case.name,
        "file": case.file,
        "duration_s": case.duration_s,
        "attempts": test.attempts,
        "failed_attempts": test.failed_attempts,
        "stands_for": test.stands_for,
        "message": message_of(test),
    }
    record["failures"] = [
        {"kind": one.kind, "type": one.type, "message": mask_text(one.message), "text": mask_text(one.text)}
        for one in test.troubles
    ]
    record["database"] = list(test.database)
    return record
