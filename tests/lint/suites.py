"""Suites of a test's own, and what the linter finds in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pgwatch_tests.lint.check import check
from pgwatch_tests.lint.facts import DatabaseKeys, LeakedByTests
from pgwatch_tests.lint.model import Finding, LintReport
from pgwatch_tests.lint.rules import RULES

ALL = tuple(RULES.values())


def write(directory: Path, files: Mapping[str, str | bytes]) -> None:
    """Writes files below a directory, which is the top of a repository."""
    (directory / ".git").mkdir(exist_ok=True)
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def checked(
    directory: Path,
    files: Mapping[str, str | bytes],
    keys: DatabaseKeys | None = None,
    leaks: LeakedByTests | None = None,
) -> LintReport:
    """Writes a suite and checks it by all rules."""
    write(directory, files)
    return check([directory], ALL, keys, leaks)


def places(findings: tuple[Finding, ...]) -> list[tuple[str, int]]:
    """Rule and line of each finding."""
    return [(one.rule, one.line) for one in findings]
