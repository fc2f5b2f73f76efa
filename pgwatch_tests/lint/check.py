"""Checks files: reads those that a rule may speak of, parses them, and gathers the rules' findings."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgwatch_tests.lint import cleaning, files, ignores
from pgwatch_tests.lint.context import Context
from pgwatch_tests.lint.facts import DatabaseKeys, LeakedByTests
from pgwatch_tests.lint.files import File
from pgwatch_tests.lint.ignores import Ignores
from pgwatch_tests.lint.model import Finding, LintReport, NotRead, Problem, Rule, Severity
from pgwatch_tests.lint.rules import RULES
from pgwatch_tests.lint.rules.rows import no_cleanup
from pgwatch_tests.lint.surroundings import Neighbourhood
from pgwatch_tests.lint.syntax import typescript_tree
from pgwatch_tests.lint.syntax.parse import TOO_DEEP, parse
from pgwatch_tests.lint.syntax.source import Source
from pgwatch_tests.text.secrets import mask_text

_LONGEST_CODE = 160
_LONGEST_LINE = 4_000


def check(
    paths: Sequence[Path],
    rules: Sequence[Rule],
    keys: DatabaseKeys | None = None,
    leaks: LeakedByTests | None = None,
    progress: Callable[[int], None] = lambda files: None,
) -> LintReport:
    """Checks all tests below some paths by some rules. `progress` is told the number of files read so far.

    `keys` are those of the tests' database, `leaks` what tests left there. Raises ConfigurationError for a
    path that isn't there.
    """
    was_enabled = gc.isenabled()
    gc.disable()  # a third of the time would go into looking at syntax trees; sources break their cycles
    try:
        checking = _Checking(rules, keys, leaks)
        for number, file in enumerate(files.find(paths), 1):
            progress(number)
            checking.take(file)
        return checking.finish()
    finally:
        if was_enabled:
            gc.enable()


@dataclass(slots=True)
class _Waiting:
    """A file with rules that ask what all files' hooks call."""

    file: File
    source: Source
    rules: list[Rule]
    comments: Ignores


class _Checking:
    """Takes one file after the other, and keeps what is found until all were there."""

    def __init__(self, rules: Sequence[Rule], keys: DatabaseKeys | None, leaks: LeakedByTests | None) -> None:
        neighbourhood = Neighbourhood()
        self._rules = rules
        self._leaks = leaks
        self._around = neighbourhood.around
        self._hooks: set[str] = set()
        self._context = Context(
            lambda source: self._around(source.path, source.text, source.language),
            keys,
            leaks,
            frozenset(RULES),
            self._hooks,
        )
        self._waiting: list[_Waiting] = []
        self._not_read: list[NotRead] = []
        self._findings: list[Finding] = []
        self._files = self._unread = self._ignored = 0

    def take(self, file: File) -> None:
        """Checks a file by all rules but those that wait for the other files."""
        self._files += 1
        try:
            source, wanted = self._read(file)
        except ValueError as error:
            self._unread += 1
            self._not_read.append(NotRead(file.shown, str(error)))
            return
        if source is None:
            return
        if source.lost_at:
            self._not_read.append(NotRead(file.shown, f"line {source.lost_at}: invalid syntax"))
        self._hooks.update(cleaning.called_by_hooks(source))
        comments = ignores.read(source, self._context.rule_ids)
        late = [rule for rule in wanted if rule.is_late(file.shown)]
        if late:
            self._waiting.append(_Waiting(file, source, late, comments))
        self._apply(file, source, [rule for rule in wanted if rule not in late], comments)
        if not late:
            source.release()

    def finish(self) -> LintReport:
        """Asks the rules that had to wait, and returns all that was found, sorted."""
        for one in self._waiting:
            self._apply(one.file, one.source, one.rules, one.comments)
            one.source.release()
        return LintReport(
            tuple(sorted(set(self._findings))),
            tuple(sorted(self._not_read)),
            self._files,
            self._unread,
            self._ignored,
        )

    def _read(self, file: File) -> tuple[Source | None, list[Rule]]:
        """A file's source and the rules that may speak of it; no source without such a rule."""
        data, text = files.read(file)
        wanted = self._wanted(file, text)
        if file.language == "typescript" and not typescript_tree.is_installed():
            raise ValueError(typescript_tree.MISSING)
        return (parse(file, data, text) if wanted else None), wanted

    def _wanted(self, file: File, text: str) -> list[Rule]:
        lower = text.lower()
        wanted = [
            rule for rule in self._rules if file.language in rule.languages and rule.may_speak_of(lower)
        ]
        if self._leaks is not None and self._leaks.of_file(file.shown):
            # What a test left says nothing of its words.
            wanted = [rule for rule in self._rules if rule in wanted or rule is no_cleanup.RULE]
        if any(rule.shared_only for rule in wanted):
            around = self._around(file.shown, text, file.language)
            if around.isolation == "own database":
                wanted = [rule for rule in wanted if not rule.shared_only]
        return wanted

    def _apply(self, file: File, source: Source, rules: Sequence[Rule], comments: Ignores) -> None:
        for rule in rules:
            try:
                problems = list(rule.check(source, self._context))
            except RecursionError:
                self._not_read.append(NotRead(file.shown, f"{rule.id}: {TOO_DEEP}"))
                continue
            told = [problem for problem in problems if not comments.covers(rule.id, problem.line)]
            self._ignored += len(problems) - len(told)
            # A value that several tests share is one place.
            once = {(one.line, one.column, one.message): one for one in reversed(told)}
            self._findings += [_finding(file, rule, problem, source.lines) for problem in once.values()]


def _finding(file: File, rule: Rule, problem: Problem, lines: Sequence[str]) -> Finding:
    line = lines[problem.line - 1].strip() if problem.line <= len(lines) else ""
    # Source has connection strings; masked before it is cut, since half of one isn't known as such.
    code = mask_text(line[:_LONGEST_LINE])[:_LONGEST_CODE]
    severity: Severity = problem.severity
    if severity == "warning" and not rule.is_proven:
        severity = "info"
    return Finding(
        file.shown,
        problem.line,
        problem.column,
        rule.id,
        severity,
        problem.message,
        rule.help,
        problem.test,
        code,
    )
