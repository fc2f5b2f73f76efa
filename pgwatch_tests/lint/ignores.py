"""Comments that ignore findings: `pgwatch-lint: ignore[rule] reason`, on the line or alone above it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pgwatch_tests.lint.model import Problem
from pgwatch_tests.lint.syntax.source import Source

_WORD = "pgwatch-lint"
_COMMENT = re.compile(
    r"(?:#|//|/\*)\s*pgwatch-lint:\s*ignore(?:\[(?P<rules>[^\]]*)\])?[\s:,–-]*(?P<reason>.*?)\s*(?:\*/)?\s*$"
)


@dataclass(frozen=True, slots=True)
class Ignores:
    """The comments of a file."""

    by_line: Mapping[int, frozenset[str]]
    """The rules that are ignored in a line."""
    problems: tuple[Problem, ...]

    def covers(self, rule: str, line: int) -> bool:
        """Whether a comment ignores that rule in that line."""
        return rule in self.by_line.get(line, ())


def read(source: Source, known: Collection[str]) -> Ignores:
    """Reads the comments of a file; `known` are the ids of all rules. Strings with such words are none."""
    by_line: dict[int, frozenset[str]] = {}
    problems: list[Problem] = []
    for comment in source.comments if _WORD in source.text else ():
        match = _COMMENT.match(comment.text)
        if match is None:
            continue
        rules = frozenset(filter(None, re.split(r"[\s,]+", match["rules"] or "")))
        wrong = list(_wrong(rules, match["reason"], known))
        problems += [Problem(comment.line, comment.column, message) for message in wrong]
        if not wrong:
            before = source.lines[comment.line - 1][: comment.column - 1]
            is_alone = before.strip() in ("", "{")  # `{/* … */}` between the tags of JSX
            place = _next_code(source.lines, comment.line) if is_alone else comment.line
            by_line[place] = by_line.get(place, frozenset()) | rules
    return Ignores(by_line, tuple(problems))


def _next_code(lines: Sequence[str], number: int) -> int:
    """The line that a comment of its own speaks of: the next one that is no comment."""
    for later in range(number + 1, len(lines) + 1):
        if not re.match(r"\s*(?:#|//|/\*|\*|\{/\*|$)", lines[later - 1]):
            return later
    return number


def _wrong(rules: Collection[str], reason: str, known: Collection[str]) -> Iterator[str]:
    if not rules:
        yield "Names no rule: write pgwatch-lint: ignore[rule] and the reason."
    for rule in sorted(rules):
        if rule not in known:
            yield f"There is no rule {rule!r}."
    if not reason:
        yield "Gives no reason: write it behind the bracket."
