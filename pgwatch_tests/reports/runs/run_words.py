"""Recorded runs in words, for every format: the verdict, how a run ended, waits, deadlocks, leaks. Pure."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from pgwatch_tests.leaks.model import LEFTOVER_NOUNS, TRACES
from pgwatch_tests.record import plugin_findings
from pgwatch_tests.record.merging.merged import LastSession, RecordedRun, RunReport, ServerReport
from pgwatch_tests.record.model import DeadlockEvent, LeakEvent, RecordedSide, WaitEvent
from pgwatch_tests.record.plugin_findings import PluginFinding
from pgwatch_tests.record.run_summary import RunFacts
from pgwatch_tests.reports.leaks.leak_words import suspected
from pgwatch_tests.reports.runs.failed_tests import failed_tests
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

Shown = Callable[[str], str]
"""Makes foreign text harmless in a format."""

_COMMIT_CHARACTERS = 12
_NOUNS: Mapping[str, tuple[str, str]] = {str(kind): nouns for kind, nouns in LEFTOVER_NOUNS.items()}


def verdict(report: RunReport, shown: Shown = plain) -> str:
    """One sentence on all runs, the worst first: `1 hang; 2 deadlocks; 48 s blocked in 12 waits, …`."""
    if not report.runs:
        return "Nothing could be read."
    parts = [*_hangs(report), *_cut_off(report, shown), *_deadlocks(report), *_failed(report)]
    parts += [*_blocked(report, shown), *_leaks(report), *_plugin_findings(report)]
    clean = [*_no_waits(report), *_no_leaks(report)]
    unknown = _not_known(report)
    sentence = "; ".join([*parts, *clean, *unknown])
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _hangs(report: RunReport) -> list[str]:
    hangs = [one for server in report.servers for one in server.hangs]
    if not hangs:
        return []
    ended = sum(bool(one.ended_root) for one in hangs)
    longest = max(one.after_s for one in hangs)
    how = f", {ended:,} of them ended by us" if ended else ""
    after = f" told after {durations.in_words(longest)}" if longest else ""
    return [f"{plural(len(hangs), 'hang')}{after}{how}"]


def _cut_off(report: RunReport, shown: Shown) -> list[str]:
    cut_off = [run for run in report.runs if run.was_cut_off]
    if not cut_off:
        return []
    if len(report.runs) == 1:
        return [ending(cut_off[0])]
    named = ", ".join(shown(run.label) for run in cut_off[:3])
    more = f" and {len(cut_off) - 3:,} more" if len(cut_off) > 3 else ""
    return [f"{len(cut_off):,} of {plural(len(report.runs), 'run')} didn't come to an end ({named}{more})"]


def _deadlocks(report: RunReport) -> list[str]:
    number = sum(len(server.deadlocks) for server in report.servers)
    return [plural(number, "deadlock")] if number else []


def _failed(report: RunReport) -> list[str]:
    failed = [
        run for run in report.runs if not run.was_cut_off and run.facts and command_exit_code(run.facts)
    ]
    parts = []
    if failed and len(report.runs) == 1:
        parts.append(ending(failed[0]))
    elif failed:
        parts.append(f"{len(failed):,} of {plural(len(report.runs), 'run')} failed")
    tests = [one for server in report.servers for one in failed_tests(server)]
    if tests:
        blocked = sum(one.blocked_s > 0 for one in tests)
        which = f", {blocked:,} of them blocked meanwhile" if blocked else ""
        parts.append(f"{plural(len(tests), 'test')} failed or flaky{which}")
    return parts


def _blocked(report: RunReport, shown: Shown) -> list[str]:
    waits = [wait for server in report.servers for wait in server.waits]
    if not waits:
        return []
    blocked_s = sum(wait.waited_s for wait in waits)
    longest = max(waits, key=lambda wait: wait.waited_s)
    which = "" if len(waits) == 1 else f", longest {durations.in_words(longest.waited_s)}"
    line = f"{durations.in_words(blocked_s)} blocked in {plural(len(waits), 'wait')}"
    return [f"{line}{which}: {_in_short(longest, shown)}"]


def _in_short(wait: WaitEvent, shown: Shown) -> str:
    behind = [shown(root.side.who) for root in wait.roots[:1]] or [
        shown(one.who) for one in wait.blockers[:1]
    ]
    after = f" behind {behind[0]}" if behind else ""
    return f"{shown(wait.waiter.who)}{after}"


def _leaks(report: RunReport) -> list[str]:
    parts = []
    if rows := [number for server in report.servers for number in _leaked_rows(server)]:
        parts.append(f"{plural(sum(rows), 'row')} left in {plural(len(rows), 'table')}")
    others = [leak for _, leak in _placed_leaks(report) if leak.kind not in ("rows", *TRACES)]
    kinds: dict[str, int] = {}
    for leak in others:
        kinds[leak.kind] = kinds.get(leak.kind, 0) + 1
    parts += [f"{leftovers(kind, number)} left" for kind, number in sorted(kinds.items())]
    return parts


def _plugin_findings(report: RunReport) -> list[str]:
    others = plugin_findings.other_findings(one for run in report.runs for one in run.plugin_findings)
    return [others] if others else []


def _leaked_rows(server: ServerReport) -> Iterator[int]:
    """The leaked rows of each table, whoever has seen them: a check after the run, or the plugin."""
    by_database: dict[str, Counter[str]] = {}
    for leak in server.leaks:
        if leak.kind == "rows":
            by_database.setdefault(leak.database, Counter())[leak.name] += leak.rows
    # The plugin doesn't say in which database: that of the run's check, where there is only one.
    first = next(iter(by_database.values()), Counter[str]())
    findings = [one for run in server.runs for one in run.plugin_findings]
    yield from plugin_findings.leaked_rows(first, findings).values()
    for others in list(by_database.values())[1:]:
        yield from others.values()


def _placed_leaks(report: RunReport) -> Iterator[tuple[int, LeakEvent]]:
    """What was left, with the place of its server: databases and tables of several may share their names."""
    return ((place, leak) for place, server in enumerate(report.servers) for leak in server.leaks)


def _no_waits(report: RunReport) -> list[str]:
    if any(one.waits for one in report.servers) or not any(one.is_recorded for one in report.servers):
        return []
    return ["nothing was blocked"]


def _no_leaks(report: RunReport) -> list[str]:
    if any(leak.kind not in TRACES for _, leak in _placed_leaks(report)):
        return []
    if any(one.is_of_rows for run in report.runs for one in run.plugin_findings):
        return []
    checked = [run for run in report.runs if run.leaks_checked]
    return ["nothing was left"] if len(checked) == len(report.runs) else []


def _not_known(report: RunReport) -> list[str]:
    parts = []
    unrecorded = sum(not run.polls for run in report.runs)
    if unrecorded:
        of = f" of {plural(unrecorded, 'run')}" if unrecorded < len(report.runs) else ""
        parts.append(f"waits{of} not recorded")
    unchecked = sum(not run.leaks_checked for run in report.runs)
    if unchecked:
        of = f" of {plural(unchecked, 'run')}" if unchecked < len(report.runs) else ""
        parts.append(f"leaks{of} not checked")
    gaps_s = sum(server.unwatched_s for server in report.servers)
    if gaps_s:
        parts.append(f"not watched for {durations.in_words(gaps_s)}")
    not_checked = len({line for run in report.runs for line in run.not_checked})
    if not_checked:
        parts.append(f"{plural(not_checked, 'thing')} not checked")
    if report.unreadable:
        parts.append(f"{len(report.unreadable):,} not read")
    return parts


def leftovers(kind: str, number: int) -> str:
    """`1 test schema`, `2 prepared transactions`."""
    return plural(number, *_NOUNS.get(kind, (kind.replace("_", " "),)))


def ending(run: RecordedRun) -> str:
    """`the command exited with 1`, `the command was ended by SIGTERM`, `the run was killed at …`."""
    facts = run.facts
    if run.ending == "running":
        return "it runs still"
    if run.ending == "killed":
        until = f" after {utc(run.until)}" if run.until else ""
        return f"{'the recorder' if facts is None else 'the run'} was killed{until}"
    if facts is None:
        return "recorded without a command"
    if facts.signal is not None:
        return f"the command was ended by {signal_name(facts.signal)}"
    code = command_exit_code(facts)
    if code is None:
        return "the command's end isn't known"
    return "the command passed" if code == 0 else f"the command exited with {code}"


def command_exit_code(facts: RunFacts) -> int | None:
    """Returns the exit code of a run's command; that of the run where the command's own isn't known."""
    return facts.exit_code if facts.command_exit_code is None else facts.command_exit_code


def signal_name(number: int) -> str:
    """`SIGKILL`, or `signal 77`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def about(facts: RunFacts, shown: Shown) -> list[str]:
    """What a run was, in short: its command, commit, machine, and how long it took."""
    took = "" if facts.ended is None else durations.in_words((facts.ended - facts.began).total_seconds())
    commit = facts.commit[:_COMMIT_CHARACTERS]
    attempt = f"attempt {facts.attempt}" if facts.attempt > 1 else ""
    named = (
        ("", " ".join(facts.command)),
        ("shard ", facts.shard),
        ("commit ", f"{commit} ({facts.branch})" if commit and facts.branch else commit or facts.branch),
        ("on ", facts.machine),
    )
    return [
        *(f"{word}{shown(text)}" for word, text in named if text),
        *filter(None, (attempt, took)),
    ]


def waiting(wait: WaitEvent, shown: Shown) -> str:
    """`gw1 t.py::test_b 8.2 s for row of users (id=42), behind gw0 t.py::test_a (idle in transaction)`."""
    return (
        f"{shown(wait.waiter.who)} {durations.in_words(wait.waited_s)} for {shown(wait.target)}"
        f"{behind(wait, shown)}{f' ({because(wait.cause, shown)})' if wait.cause else ''}"
    )


def behind(wait: WaitEvent, shown: Shown) -> str:
    """`, behind a and b and others`: whose fault the wait is; nothing if that isn't known."""
    sides = list(dict.fromkeys(root.side.who for root in wait.roots)) or [one.who for one in wait.blockers]
    if not sides:
        return ""
    more = len(sides) > 2 or (not wait.roots and wait.more_blockers > 0)
    return f", behind {' and '.join(map(shown, sides[:2]))}{' and others' if more else ''}"


def because(cause: str, shown: Shown) -> str:
    """A cause in words: `idle in transaction`."""
    return shown(cause.replace("_", " ")) if cause else "not known"


def whose(side: RecordedSide, shown: Shown) -> str:
    """`database a, user b, from 10.0.0.7:51234`, as far as it is known."""
    client = side.client if side.client in ("", "local") else f"from {side.client}"
    parts = (
        f"database {side.database}" if side.database else "",
        f"user {side.user}" if side.user else "",
        client,
        f"pid {side.pid}" if side.pid else "prepared transaction",
    )
    return shown(", ".join(filter(None, parts)))


def deadlock(one: DeadlockEvent, shown: Shown) -> str:
    """`a waits for row of x, b waits for row of y; victim: a`."""
    steps = ", ".join(f"{shown(member.side.who)} waits for {shown(member.target)}" for member in one.members)
    victim = f"victim: {shown(one.victim)}" if one.victim else "victim not known"
    source = "" if one.source == "polls" else f", by the {one.source}"
    return f"{steps}; {victim}{source}"


def doing(one: LastSession, shown: Shown) -> str:
    """What a session did when it was last seen: `active, waited 3.1 s for row of users (id=1), behind b`."""
    state = _state(one.side.state, shown)
    if not one.waits_for:
        return state
    lasted = f" {durations.in_words(one.wait_s)}" if one.wait_s is not None else ""
    after = f", behind {' and '.join(map(shown, one.blockers[:2]))}" if one.blockers else ""
    return f"{state}, waited{lasted} for {shown(one.waits_for)}{after}"


def _state(state: str, shown: Shown) -> str:
    """One of the server's own words as it is; a recording may have anything else in their place."""
    known = state.replace(" ", "").replace("(", "").replace(")", "").isalpha() and state.isascii()
    return state if known else shown(state) if state else "state not known"


def leaked_by(leak: LeakEvent, shown: Shown) -> str:
    """The test that left it, those that may have, or that it isn't known and why."""
    if leak.candidates:
        return suspected([shown(one) for one in leak.candidates])
    if leak.test:
        return shown(leak.test)
    return f"unknown ({shown(leak.detail)})" if leak.kind == "rows" and leak.detail else "unknown"


def known_by(leak: LeakEvent) -> str:
    """How sure that is: `marker`, `transaction`, `1 of 3`, `unknown`."""
    return f"1 of {len(leak.candidates):,}" if leak.candidates else leak.confidence


def found_by(finding: PluginFinding, shown: Shown) -> str:
    """The test or fixture that a finding of the pytest plugin is put down to."""
    return shown(finding.owner) if finding.owner else "unknown"


def leaked(leak: LeakEvent) -> str:
    """The kind of what was left: `rows`, `test schema`."""
    return "rows" if leak.kind == "rows" else _NOUNS.get(leak.kind, (leak.kind.replace("_", " "),))[0]


def server_title(server: ServerReport, shown: Shown) -> str:
    """`PostgreSQL 18.1 at 127.0.0.1:5432, database test_app, 3 recordings, watched for 40 s`."""
    if not server.servers:
        return "Nothing was recorded"
    last = server.servers[-1]
    parts = [f"PostgreSQL {shown(last.version)} at {shown(last.address)}", f"database {shown(last.database)}"]
    if len(server.runs) > 1:
        parts.append(plural(len(server.runs), "recording"))
    if len(server.servers) > 1:
        restarts = len(server.servers) - 1
        parts.append(f"started again {'once' if restarts == 1 else f'{restarts:,} times'}")
    parts.append(f"watched for {durations.in_words(server.watched_s)}")
    if server.unwatched_s:
        parts.append(f"not watched for {durations.in_words(server.unwatched_s)}")
    return ", ".join(parts)


def not_checked(runs: Iterable[RecordedRun]) -> list[str]:
    """What couldn't be recorded or checked, each sentence once, with the run where there are several."""
    each = tuple(runs)
    sentences: dict[str, list[str]] = {}
    for run in each:
        for line in run.not_checked:
            sentences.setdefault(line, []).append(run.label)
    return [
        line if len(each) == 1 or len(labels) == len(each) else f"{', '.join(labels[:3])}: {line}"
        for line, labels in sentences.items()
    ]


def utc(moment: datetime) -> str:
    """`2026-03-04 05:06:07 UTC`"""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def utc_clock(moment: datetime) -> str:
    """`05:06:07.3`: for events that are within one run, whose day is told elsewhere."""
    return f"{moment.astimezone(UTC):%H:%M:%S.%f}"[:-5]
