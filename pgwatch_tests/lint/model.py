"""Findings of the linter, its report, and what a rule is. Frozen values, no file is read here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pgwatch_tests.lint.context import Context
    from pgwatch_tests.lint.syntax.source import Source

Severity = Literal["error", "warning", "info"]
"""`error`: a database or a leaks document proves it. `info`: one proves that it does no harm."""
Language = Literal["python", "typescript", "yaml"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What a rule says of a place. `line` and `column` are counted from 1."""

    line: int
    column: int
    message: str
    severity: Severity = "warning"
    test: str = ""
    """The test around it; empty outside of tests."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A problem in a file, as reports show it."""

    path: str
    line: int
    column: int
    rule: str
    severity: Severity
    message: str
    help: str
    test: str
    code: str
    """The line, stripped: with it, a finding is known again after lines moved."""


@dataclass(frozen=True, slots=True, order=True)
class NotRead:
    """A file that couldn't be checked, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class LintReport:
    """The outcome of a check of some paths, sorted by path and line."""

    findings: tuple[Finding, ...]
    not_read: tuple[NotRead, ...] = ()
    files: int = 0
    """Files of tests that are there."""
    unread: int = 0
    """Files of which nothing was read."""
    ignored: int = 0
    """Findings that a comment with a reason ignores."""
    accepted: int = 0
    """Findings that a file of accepted findings lets pass."""
    stale: tuple[str, ...] = ()
    """Accepted findings that are there no more."""

    @property
    def failing(self) -> tuple[Finding, ...]:
        """The findings that a gate fails on: errors and warnings."""
        return tuple(one for one in self.findings if one.severity != "info")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its id, its words, and the function that finds its problems in a file."""

    id: str
    summary: str
    """One line, for lists."""
    explanation: str
    """Markdown, for `--explain`: why it breaks, what to write instead, what the rule leaves alone."""
    help: str
    """What to do, one line, shown beside each finding."""
    words: tuple[tuple[str, ...], ...]
    """What a file's text has to hold, in lower case: of each group one. Others aren't parsed for it."""
    check: Callable[[Source, Context], Iterator[Problem]]
    pattern: re.Pattern[str] = re.compile("")
    """What else it has to hold, in lower case. Asked where the words are there."""
    shared_only: bool = False
    """Whether it speaks only of tests that see each other's rows: not of those with their own database."""
    languages: frozenset[Language] = frozenset(("python", "typescript"))
    is_late: Callable[[str], bool] = lambda path: False
    """Whether it asks, for a file of that path, what hooks of all files call."""
    is_proven: bool = True
    """Whether findings of it in public repositories were read, and nine in ten were right. Of others, only
    what a database proves is more than `info`."""
    default: bool = True
    """Whether it is on unless `--select` names it."""

    def may_speak_of(self, lower: str) -> bool:
        """Whether a file may hold something to find, by its text in lower case."""
        return all(any(word in lower for word in group) for group in self.words) and (
            not self.pattern.pattern or self.pattern.search(lower) is not None
        )
