"""Findings of the linter as text for a terminal."""

from __future__ import annotations

from collections import Counter

from pgwatch_tests.lint.model import LintReport
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

_MOST_NOT_READ = 10


def text(report: LintReport) -> str:
    """A line per finding, beginning with `path:line:column`; then what helps by rule, and the sums."""
    lines = [
        f"{plain(one.path)}:{one.line}:{one.column}: {one.severity} [{one.rule}] {plain(one.message)}"
        for one in report.findings
    ]
    helps = {one.rule: one.help for one in report.findings if one.help}
    counts = Counter(one.rule for one in report.findings)
    if helps:
        lines += [
            "",
            *(
                f"{counts[rule]:>5}  {rule} → {helps[rule]}"
                for rule, _ in counts.most_common()
                if rule in helps
            ),
        ]
    if report.not_read:
        shown = report.not_read[:_MOST_NOT_READ]
        lines += ["", *(f"not read: {plain(one.path)}: {plain(one.reason)}" for one in shown)]
        more = len(report.not_read) - len(shown)
        lines += [f"… and {plural(more, 'more file')} not read"] if more else []
    lines += [f"accepted, but there no more: {plain(one)}" for one in report.stale]
    return "\n".join([*lines, *([""] if lines else []), summary(report)])


def summary(report: LintReport) -> str:
    """How much was found and checked, in a line. What wasn't read doesn't sound clean."""
    if not report.files:
        return "nothing checked: there is no file of tests here"
    if report.unread == report.files:
        return f"nothing checked: of {plural(report.files, 'file')}, none could be read"
    counts = Counter(one.severity for one in report.findings)
    parts = [plural(counts["error"], "error"), plural(counts["warning"], "warning")]
    parts += [f"{counts['info']} info"] if counts["info"] else []
    found = ", ".join(parts) if report.findings else "nothing found"
    in_part = len({one.path for one in report.not_read}) - report.unread
    rest = [f"{report.ignored} ignored"] if report.ignored else []
    rest += [f"{report.accepted} accepted"] if report.accepted else []
    rest += [f"{plural(report.unread, 'file')} not read"] if report.unread else []
    rest += [f"{plural(in_part, 'file')} read in part"] if in_part else []
    read = f"{report.files - report.unread} of " if report.unread else ""
    return ", ".join([f"{found} in {read}{plural(report.files, 'file')}", *rest])
