"""Which of the example's tests are bad, and what has to be said of each."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.booking_example.run import Named, Run

TESTS = 41
_BAD = "tests/bad/test_{}.py::{}"
BAD: Mapping[str, str] = {
    _BAD.format("static_email", "test_a_parent_registers"): r"left 1 row in public\.users",
    _BAD.format("open_transaction", "test_a_notice_is_written"): r"transaction",
    "fixture instructor [module] of tests/bad/test_leak_in_fixture.py": r"left 1 row in public\.users",
    _BAD.format("other_process", "test_parents_are_imported"): r"2 rows in public\.users",
    _BAD.format("wiped_table", "test_without_holidays_each_day_has_lessons"): (
        r"public\.holidays: all 3 rows are gone"
    ),
    _BAD.format("late_thread", "test_a_message_is_put_into_the_outbox"): (
        r"wrote 1 row into public\.notices .*after it had ended"
    ),
    _BAD.format("order_dependence", "test_a_long_lesson_is_offered"): r"left 1 row in public\.prices",
    _BAD.format("self_wait", "test_a_dear_lesson_is_cancelled"): r"waited \d+(\.\d+)? s for itself",
}
"""By the name that the summary gives it: a pattern for the reason."""


def mistakes(run: Run) -> list[str]:
    """Returns what is wrong with a run, in sentences; empty if all is well."""
    found = []
    if run.exit_status != 1:
        found.append(f"exit status {run.exit_status}")
    named = {one.name: one for one in run.named}
    found += [f"{name} is named: {named[name].text}" for name in named.keys() - BAD.keys()]
    found += [f"{name} isn't named" for name in BAD.keys() - named.keys()]
    found += [
        f"{name} is said to have {named[name].text}"
        for name in BAD.keys() & named.keys()
        if not _is_told(named[name], BAD[name])
    ]
    found += [f"{name} failed" for name in run.failed - BAD.keys() - _USERS_OF_FIXTURE]
    if run.tests != TESTS:
        found.append(f"{run.tests} tests ran")
    return found


_USERS_OF_FIXTURE = {_BAD.format("leak_in_fixture", "test_an_instructor_has_no_lessons_at_first")}
"""Where pytest tells what a module's fixture left: at the tear-down of the last test that used it."""


def _is_told(one: Named, pattern: str) -> bool:
    return any(re.search(pattern, reason) for reason in one.reasons) and bool(one.advice)
