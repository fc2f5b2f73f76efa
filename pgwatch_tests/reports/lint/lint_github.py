"""Findings of the linter as annotations of a GitHub workflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pgwatch_tests.lint.model import Finding, LintReport, Severity
from pgwatch_tests.reports.lint.lint_table import summary
from pgwatch_tests.reports.render.ci_text import annotation
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

_LEVELS: dict[Severity, Literal["error", "warning", "notice"]] = {
    "error": "error",
    "warning": "warning",
    "info": "notice",
}
_SHOWN = 10
"""GitHub shows ten annotations of a level per step."""


def document(report: LintReport) -> str:
    """Ten annotations of each severity at most, at their lines; then files not read, and the sums."""
    lines: list[str] = []
    for severity, level in _LEVELS.items():
        those = [one for one in report.findings if one.severity == severity]
        lines += [_annotation(one, level) for one in _spread(those)]
        more = len(those) - _SHOWN
        lines += [f"… and {plural(more, f'more {severity}')}"] if more > 0 else []
    if report.not_read:
        named = "\n".join(f"{plain(one.path)}: {plain(one.reason)}" for one in report.not_read[:_SHOWN])
        lines.append(annotation("error", f"not read: {plural(len(report.not_read), 'file')}", named))
    return "\n".join([*lines, summary(report)]) + "\n"


def _annotation(one: Finding, level: Literal["error", "warning", "notice"]) -> str:
    message = plain(one.message) + (f"\n→ {one.help}" if one.help else "")
    return annotation(level, one.rule, message, one.path, one.line)


def _spread(findings: Sequence[Finding]) -> list[Finding]:
    """Ten of them, of each rule at least one if there is room."""
    firsts = list({one.rule: one for one in reversed(findings)}.values())
    rest = [one for one in findings if one not in firsts]
    return sorted([*firsts, *rest][:_SHOWN])
