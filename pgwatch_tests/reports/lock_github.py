"""The locks as annotations of a GitHub workflow.

The escapes are those of actions/toolkit, packages/core/src/command.ts.
"""

from __future__ import annotations

from pgwatch_tests import durations
from pgwatch_tests.locks.gate import Case, cases
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.picture import LockPicture
from pgwatch_tests.reports.lock_tree import NOTHING_BLOCKED
from pgwatch_tests.reports.plain_text import plain


def document(snapshot: LockSnapshot, min_wait_s: float) -> str:
    """A line a root blocker: `::error` for what a gate fails on, `::warning` for shorter waits."""
    picture = LockPicture(snapshot)
    lines = [_annotation(case, picture) for case in cases(picture, min_wait_s)]
    return "\n".join(lines or [NOTHING_BLOCKED]) + "\n"


def _annotation(case: Case, picture: LockPicture) -> str:
    level = "error" if case.verdict == "finding" else "warning"
    longest = durations.in_words(case.longest_wait_s)
    title = f"{plain(picture.who(case.party))} blocks {case.blocks}, longest wait {longest}"
    message = f"{plain(case.diagnosis.explanation)}\n→ {plain(case.diagnosis.advice)}"
    return f"::{level} title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
