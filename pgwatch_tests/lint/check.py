"""Checks files: reads those that a rule may speak of, parses them, and gathers the rules' findings."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgwatch_tests.lint import cleaning, files, ignores
from pgwatch_tests.lint.context import Context
from pgwatch_tests.lint.facts import DatabaseKeys, LeakedByTests
from pgwatch_tests.lint.files import File
from pgwatch_tests.lint.ignores import Ignores
from pgwatch_tests.lint.model import Finding, Language, LintReport, NotRead, Problem, Rule
from pgwatch_tests.lint.rules import RULES, no_cleanup
from pgwatch_tests.lint.surroundings import Neighbourhood, Surroundings
from pgwatch_tests.lint.syntax import python_source, typescript_source, typescript_tree
from pgwatch_tests.lint.syntax.source import Scope, Source
from pgwatch_tests.text.secrets import mask_text

_IDS = frozenset((*RULES, ignores.RULE_ID))
_LONGEST_CODE = 160
_LONGEST_LINE = 4_000
_COLLECTED_EVERY = 300
"""Files after which memory of earlier ones is freed."""
_TOO_DEEP = "nested too deeply"


@dataclass(slots=True)
class _Waiting:
    """A file with rules that ask what all files' hooks call."""

    file: File
    source: Source
    rules: list[Rule]
    comments: Ignores


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
    gc.disable()  # a third of the time goes into looking at syntax trees that are in use
    try:
        return _check(paths, rules, keys, leaks, progress)
    finally:
        if was_enabled:
            gc.enable()


def _check(
    paths: Sequence[Path],
    rules: Sequence[Rule],
    keys: DatabaseKeys | None,
    leaks: LeakedByTests | None,
    progress: Callable[[int], None],
) -> LintReport:
    neighbourhood = Neighbourhood()
    around: dict[str, Surroundings] = {}

    def look_around(path: str, text: str, language: Language) -> Surroundings:
        if path not in around:
            around[path] = neighbourhood.around(path, text, language)
        return around[path]

    def is_isolated(file: File, text: str) -> bool:
        return look_around(file.shown, text, file.language).isolation == "own database"

    waiting: list[_Waiting] = []
    not_read: list[NotRead] = []
    findings: list[Finding] = []
    hooks: set[str] = set()
    number = ignored = 0
    context = Context(
        lambda source: look_around(source.path, source.text, source.language), keys, leaks, hooks
    )

    def apply(file: File, source: Source, chosen: Sequence[Rule], comments: Ignores) -> None:
        nonlocal ignored
        for rule in chosen:
            try:
                problems = list(rule.check(source, context))
            except RecursionError:
                not_read.append(NotRead(file.shown, f"{rule.id}: {_TOO_DEEP}"))
                continue
            told = [problem for problem in problems if not comments.covers(rule.id, problem.line)]
            ignored += len(problems) - len(told)
            # A value that several tests share is one place.
            once = {(one.line, one.column, one.message): one for one in reversed(told)}
            findings.extend(
                _finding(file, rule.id, rule.help, problem, source.lines) for problem in once.values()
            )

    for file in files.find(paths):
        number += 1
        progress(number)
        try:
            data, text = files.read(file)
            wanted = _wanted(rules, file, text)
            if leaks is not None and leaks.of_file(file.shown):
                # What a test left says nothing of its words.
                wanted = [rule for rule in rules if rule in wanted or rule is no_cleanup.RULE]
            if any(rule.shared_only for rule in wanted) and is_isolated(file, text):
                wanted = [rule for rule in wanted if not rule.shared_only]
            if file.language == "typescript" and not typescript_tree.is_installed():
                raise ValueError(typescript_tree.MISSING)
            source = _parse(file, data, text) if wanted else None
        except ValueError as error:
            not_read.append(NotRead(file.shown, str(error)))
            continue
        if source is None:
            if "pgwatch-lint" in text:
                findings += _of_comments(file, text.split("\n"))
            continue
        if source.lost_at:
            not_read.append(NotRead(file.shown, f"line {source.lost_at}: invalid syntax"))
        hooks.update(cleaning.called_by_hooks(source))
        comments = ignores.read(source.lines if "pgwatch-lint" in text else (), _IDS)
        findings += [_finding(file, ignores.RULE_ID, "", one, source.lines) for one in comments.problems]
        late = [rule for rule in wanted if rule.is_late(file.shown)]
        if late:
            waiting.append(_Waiting(file, source, late, comments))
        apply(file, source, [rule for rule in wanted if rule not in late], comments)
        if number % _COLLECTED_EVERY == 0:
            gc.collect()
    for late_one in waiting:
        apply(late_one.file, late_one.source, late_one.rules, late_one.comments)
    return LintReport(tuple(sorted(set(findings))), tuple(sorted(not_read)), number, ignored)


def _wanted(rules: Sequence[Rule], file: File, text: str) -> list[Rule]:
    lower = text.lower()
    return [rule for rule in rules if file.language in rule.languages and rule.may_speak_of(lower)]


def _of_comments(file: File, lines: Sequence[str]) -> Iterator[Finding]:
    for problem in ignores.read(lines, _IDS).problems:
        yield _finding(file, ignores.RULE_ID, "", problem, lines)


def _parse(file: File, data: bytes, text: str) -> Source:
    """Raises ValueError with why it can't be parsed."""
    if file.language == "yaml":
        module = Scope("module", "", 1, text.count("\n") + 1, None, read=lambda: text)
        return Source(file.shown, "yaml", text, module, [module], [])
    if file.language == "typescript":
        tsx = file.path.suffix.lower() in (".tsx", ".jsx", ".js", ".mjs", ".cjs")
        try:
            source = typescript_source.read(file.shown, data, tsx)
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None
        if source is None:
            raise ValueError("isn't TypeScript")
        return source
    try:
        return python_source.read(file.shown, text)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise ValueError(f"{where}{error.msg}") from None
    except (RecursionError, MemoryError):
        raise ValueError(_TOO_DEEP) from None


def _finding(file: File, rule: str, advice: str, problem: Problem, lines: Sequence[str]) -> Finding:
    line = lines[problem.line - 1].strip() if problem.line <= len(lines) else ""
    # Source has connection strings; masked before it is cut, since half of one isn't known as such.
    code = mask_text(line[:_LONGEST_LINE])[:_LONGEST_CODE]
    return Finding(
        file.shown,
        problem.line,
        problem.column,
        rule,
        problem.severity,
        problem.message,
        advice,
        problem.test,
        code,
    )
