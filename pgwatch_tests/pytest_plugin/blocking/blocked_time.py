"""The section of the summary on blocked time: which tests waited for which, for how long, on what. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pgwatch_tests.identity.application_name import parse
from pgwatch_tests.locks.diagnosis.evidence import advice_afterwards
from pgwatch_tests.locks.watch.wait_history import SeenWait, WaiterSum, WaitHistory
from pgwatch_tests.pytest_plugin.blocking.words import TestNames, deadlock
from pgwatch_tests.pytest_plugin.reports.summary import Section
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

_MOST_TESTS = 10
_MOST_BLOCKERS = 3
_MOST_DEADLOCKS = 5
WORTH_TELLING_S = 0.1
"""Tests that were blocked for less in all aren't listed."""


def section(history: WaitHistory, names: TestNames, trouble: str) -> Section | None:
    """Returns the section; None if nobody waited, no deadlock was seen, and all was watched."""
    lines = list(_lines(history, names))
    if trouble:
        lines.append(f"not watched: {trouble}")
    elif history.unwatched_s:
        reason = f" ({history.trouble.reason})" if history.trouble else ""
        lines.append(f"not watched for {durations.in_words(history.unwatched_s)}{reason}")
    return Section("blocked time", lines) if lines else None


def _lines(history: WaitHistory, names: TestNames) -> Iterator[str]:
    sums = sorted(history.sums().items(), key=lambda item: (-item[1].blocked_s, item[0]))
    told = [(name, one) for name, one in sums if one.blocked_s >= WORTH_TELLING_S and one.longest]
    if told:
        total_s = sum(one.blocked_s for _, one in told)
        yield f"{plural(len(told), 'test')} blocked for {durations.in_words(total_s)} in all:"
    for name, one in told[:_MOST_TESTS]:
        yield from _of_test(name, one, names)
    if len(told) > _MOST_TESTS:
        rest_s = sum(one.blocked_s for _, one in told[_MOST_TESTS:])
        yield f"  … and {len(told) - _MOST_TESTS:,} more, for {durations.in_words(rest_s)}"
    if history.deadlocks:
        yield f"{plural(len(history.deadlocks), 'deadlock')} seen:"
    for seen in history.deadlocks[:_MOST_DEADLOCKS]:
        yield from (f"  {line}" for line in deadlock(names, seen))


def _of_test(name: str, one: WaiterSum, names: TestNames) -> Iterator[str]:
    yield f"  {durations.in_words(one.blocked_s):>6}  {named(name, names)}"
    by_root = sorted(one.by_root.items(), key=lambda item: (-item[1], item[0]))
    for root, seconds in by_root[:_MOST_BLOCKERS]:
        itself = " (itself: two sessions of one test)" if root == name else ""
        yield f"          by {named(root, names)}{itself} for {durations.in_words(seconds)}"
    if one.longest is not None:
        yield f"          longest: {_longest(one.longest)}"
        if advice := advice_afterwards(one.longest.wait.advice):
            yield f"          → {plain(advice)}"


def _longest(seen: SeenWait) -> str:
    mode = f" ({seen.wait.mode})" if seen.wait.mode else ""
    return plain(f"{durations.in_words(seen.waited_s)} for {seen.wait.target}{mode}")


def named(application_name: str, names: TestNames) -> str:
    """`tests/test_a.py::test_one [gw0]`, as the summary names tests."""
    identity = parse(application_name)
    worker = f" [{identity.worker_label}]" if identity and identity.worker_label else ""
    return plain(f"{names.test(application_name) or 'a session without a name'}{worker}")
