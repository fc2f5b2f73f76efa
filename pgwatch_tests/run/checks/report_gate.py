"""The gate of `report --fail-on`: a run's own, over all the runs of a report. Pure."""

from __future__ import annotations

from dataclasses import replace

from pgwatch_tests.errors import Verdict
from pgwatch_tests.leaks.gate import Gate
from pgwatch_tests.record.merging.merged import RunReport
from pgwatch_tests.run.checks.fail_on import Evidence, FailOn, Judgement, judge


def judge_report(fail_on: FailOn, report: RunReport) -> Judgement:
    """The verdict: waits, deadlocks and hangs per server, leaks per run; what couldn't be read is missing."""
    beside_leaks = replace(fail_on, leaks=Gate(frozenset()))
    only_leaks = replace(fail_on, blocked_s=None, deadlock=False, hang=False)
    parts = [
        judge(
            beside_leaks,
            Evidence(
                waits=server.waits if any(run.polls for run in server.runs) else None,
                deadlocks=server.deadlocks,
                unwatched_s=server.unwatched_s,
                hangs=server.hangs or None,
            ),
        )
        for server in report.servers
    ]
    parts += [judge(only_leaks, Evidence(leaks=run.leak_report)) for run in report.runs]
    # Of shards that share a database, each has found the same.
    findings = tuple(dict.fromkeys(finding for part in parts for finding in part.findings))
    unread = [f"{one.name}: {one.reason}" for one in report.unreadable]
    missing = tuple(dict.fromkeys([*unread, *(line for part in parts for line in part.missing)]))
    verdict: Verdict = "findings" if findings else "incomplete" if missing else "clean"
    return Judgement(verdict, findings, missing)
