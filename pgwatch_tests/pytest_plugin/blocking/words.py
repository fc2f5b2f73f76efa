"""Words about waits of tests: who waited for whom, on what, and what helps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from pgwatch_tests.identity.application_name import parse
from pgwatch_tests.identity.known_tests import KnownTests
from pgwatch_tests.locks.diagnosis.evidence import advice_afterwards
from pgwatch_tests.locks.watch.wait_history import SeenDeadlock, SeenWait
from pgwatch_tests.locks.watch.wait_journal import JournalWait, Side
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import one_line, plain

_STATEMENT_CHARACTERS = 300


class TestNames:
    """Whole ids of tests, for sessions whose names have them in short."""

    __test__ = False  # not a test class

    def __init__(self) -> None:
        self._tests: dict[str, None] = {}
        self._known: KnownTests | None = None

    def add(self, tests: Iterable[str]) -> None:
        """Adds ids."""
        self._tests.update(dict.fromkeys(tests))
        self._known = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tests)

    def test(self, application_name: str) -> str:
        """Returns the whole id of the test that a session is named after; else the name as it is."""
        identity = parse(application_name)
        if identity is None:
            return application_name
        if self._known is None:
            self._known = KnownTests(self._tests)
        return self._known.full_id(identity) or identity.label

    def who(self, side: Side) -> str:
        """`tests/test_a.py::test_one (gw0, pid 4711)`; the application's name where it names no test."""
        identity = parse(side.name)
        if not side.pid:
            return plain(f"prepared transaction {side.name}")
        worker = f"{identity.worker_label}, " if identity and identity.worker_label else ""
        name = self.test(side.name) or side.backend or "a session without a name"
        return plain(f"{name} ({worker}pid {side.pid})")

    def is_own(self, wait: JournalWait) -> bool:
        """Whether a session waits for another one of the same test."""
        return parse(wait.waiter.name) is not None and any(
            side.name == wait.waiter.name for side in (*wait.blockers, *wait.roots)
        )


def picture(names: TestNames, seen: SeenWait, at: float) -> list[str]:
    """Returns the lines that tell of one wait, as it was last seen before `at`."""
    wait = seen.wait
    holders = ", ".join(names.who(side) for side in wait.blockers) or "nobody that could be seen"
    more = f" and {wait.more_blockers:,} more" if wait.more_blockers else ""
    lines = [
        f"{names.who(wait.waiter)} had waited {durations.in_words(seen.waited_s)} for "
        f"{plain(wait.target)} behind {holders}{more}{_before(at - seen.seen_at)}.",
        f"  lock: {_lock(wait)}",
        f"  it waited in: {_statement(wait.waiter)}",
    ]
    for side in wait.blockers[:2]:
        lines += _holder(names, side, at)
    for side in [side for side in wait.roots if side.pid not in {one.pid for one in wait.blockers}][:2]:
        lines += _holder(names, side, at, "at the root of it")
    if advice := advice_afterwards(wait.advice):
        lines.append(f"  advice: {plain(advice)}")
    return lines


def deadlock(names: TestNames, one: SeenDeadlock) -> list[str]:
    """Returns the lines that tell of a deadlock: each side, what it ran, and what it wanted."""
    lines = []
    for wait in one.waits:
        behind = ", ".join(names.who(side) for side in wait.blockers)
        lines.append(f"{names.who(wait.waiter)} wanted {plain(wait.target)}, which {behind} had locked")
        lines.append(f"  in: {_statement(wait.waiter)}")
    if advice := advice_afterwards(one.advice):
        lines.append(f"advice: {plain(advice)}")
    return lines


def short_name(test: str) -> str:
    """Returns a test's own name: what is after the last `::`."""
    return test.rpartition("::")[2]


def clock_time(at: float) -> str:
    """`12:03:04.5`, by this machine's time zone."""
    return f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S.%f}"[:-5]


def _before(seconds: float) -> str:
    return f", {durations.in_words(seconds)} before" if seconds >= 0.05 else ""


def _lock(wait: JournalWait) -> str:
    if not wait.mode:
        return plain(wait.lock)
    held = f"; {wait.held_mode} is held" if wait.held_mode else "; queued behind another request"
    return plain(f"{wait.mode} on {wait.lock}{held}")


def _statement(side: Side) -> str:
    return plain(one_line(side.statement), _STATEMENT_CHARACTERS) or "a statement that isn't visible"


def _holder(names: TestNames, side: Side, at: float, what: str = "holder") -> list[str]:
    if not side.pid:
        since = _since(side.in_transaction_since, at)
        return [f"  {what}: {names.who(side)}{since}; no session owns it any more"]
    state = side.state or "in a state that isn't visible"
    for_ = "" if side.in_state_since is None else f" for {durations.in_words(at - side.in_state_since)}"
    ran = "ran last" if state.startswith("idle") else "runs"
    return [
        f"  {what}: {names.who(side)}, {plain(state)}{for_}{_since(side.in_transaction_since, at)}",
        f"  it {ran}: {_statement(side)}",
    ]


def _since(began: float | None, at: float) -> str:
    if began is None:
        return ""
    return f", its transaction open since {clock_time(began)} ({durations.in_words(at - began)})"
